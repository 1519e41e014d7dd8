"""The command line: one file per command, each parses, builds a session, and hands it over."""
