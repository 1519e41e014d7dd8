"""Reads trace files: every allocation of a program, by operation and by line."""
