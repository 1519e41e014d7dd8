"""Does a model fit? A real generation for each context length, and a line through its steps beyond that."""
