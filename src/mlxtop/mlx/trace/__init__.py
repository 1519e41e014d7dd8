"""Every allocation of MLX's in this process, into a file that others read. Imported only where a trace begins."""
