"""Predicts whether a model fits in memory: measured generations, extrapolated to longer contexts."""
