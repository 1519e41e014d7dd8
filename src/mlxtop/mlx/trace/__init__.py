"""Every allocation of MLX's in this process, into a file that others read. Imported where a trace begins."""
