"""Inside somebody else's program: a few lines that read MLX's counters and tell whoever asks."""
