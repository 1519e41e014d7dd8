"""Interpretation of a session's samples: trends, verdicts and the comparison of cache limits."""
