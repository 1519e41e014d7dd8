"""The screens. They use sessions and never import MLX."""
