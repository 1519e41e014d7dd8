"""`mlxtop doctor`: tests of this machine, its MLX and its terminal."""
