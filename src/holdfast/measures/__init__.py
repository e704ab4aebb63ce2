"""Numbers about outputs, models, runs and data."""
