"""`mlxtop doctor`: what this machine, its MLX and its terminal give mlxtop, each tried once."""
