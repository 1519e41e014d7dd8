"""A session kept in a file: written while it runs, read at any zoom. The file's form is in `schema.py`."""
