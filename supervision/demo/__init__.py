"""The demo: real processes, killed for real, and everything it prints measured."""
