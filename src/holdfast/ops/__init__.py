"""Tensor mathematics on torch alone; knows nothing of models, threats or reports."""
