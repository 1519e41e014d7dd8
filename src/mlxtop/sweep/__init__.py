"""Trade-off runs: a plan of cells, their measurement, and what the numbers allow to say."""
