"""One script per published figure. `python -m benchmarks` runs them all and prints one table."""
