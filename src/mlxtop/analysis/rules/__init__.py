"""The rules of a diagnosis, grouped by what they examine: growth, limits, peaks."""
