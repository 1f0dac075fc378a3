"""Modules that declare supervisors, to be run or copied from; docs/supervision.md explains what they use.

They are run as the README says, in the folder of the project, with the module's name:

    export SUPERVISION_STORE_URL=redis://127.0.0.1:6379/0 SUPERVISION_IMPORTS=examples.tree PYTHONPATH=.
"""
