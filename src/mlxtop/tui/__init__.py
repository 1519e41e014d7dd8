"""The screen. It knows sessions, never MLX."""
