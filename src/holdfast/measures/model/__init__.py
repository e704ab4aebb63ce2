"""Measures of the model as a function: of its inputs and of its weights."""
