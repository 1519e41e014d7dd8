"""Does a program keep within bounds: what was seen of it, and the judgement."""
