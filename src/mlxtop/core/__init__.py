"""Plain data and arithmetic: nothing here imports MLX or Textual."""
