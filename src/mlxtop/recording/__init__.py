"""Recordings: sessions in a file, written while they run, read at any zoom. `schema.py` has the format."""
