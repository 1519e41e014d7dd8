"""Runs a model with mlx-lm, in the one thread that owns MLX."""
