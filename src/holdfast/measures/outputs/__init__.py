"""Measures of what a model answers, against labels."""
