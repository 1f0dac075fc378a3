"""Modules that declare supervisors, to be run as they are or copied from; docs/supervision.md explains what they use."""
