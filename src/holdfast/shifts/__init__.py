"""Natural corruptions with a severity in [0, 1]."""
