"""Defences: wrappers that make a new model out of a model."""
