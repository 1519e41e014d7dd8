"""Predicts whether training fits in memory: measured steps, extrapolated to larger batches."""
