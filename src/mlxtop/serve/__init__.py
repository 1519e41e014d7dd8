"""What Prometheus reads of the programs on this machine."""
