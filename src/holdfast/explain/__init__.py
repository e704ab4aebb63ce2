"""Explainers: a readout distributed over the input."""
