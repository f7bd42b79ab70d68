"""The command line: its commands, the live display and the tables."""
