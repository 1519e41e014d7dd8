"""The only code that touches MLX's allocator."""
