"""The rules of a diagnosis, one file for each kind of verdict."""
