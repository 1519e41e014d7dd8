"""Series over time, and the axes below them."""
