"""Slices of a data set and everything that is asked of them in one table."""
