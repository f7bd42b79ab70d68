"""The command line: commands, the live display, tables."""
