"""What the numbers of a session mean: trends, verdicts, and limits compared."""
