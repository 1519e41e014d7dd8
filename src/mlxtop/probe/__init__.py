"""The only code that touches MLX's allocator and the operating system's accounting."""
