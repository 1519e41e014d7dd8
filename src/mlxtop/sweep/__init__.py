"""Sweeps: a plan of parameter values, their measurement, and a recommendation."""
