"""A session: one watched run, wherever it runs. A screen knows nothing but this."""
