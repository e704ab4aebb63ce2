"""Measures of data alone: what no model of them can avoid."""
