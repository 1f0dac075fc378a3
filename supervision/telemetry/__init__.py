"""What is told to the outside: logs now, metrics next."""
