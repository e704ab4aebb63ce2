"""Attacks: searches for admissible changes that break a model."""
