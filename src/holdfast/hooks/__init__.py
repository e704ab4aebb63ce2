"""Hooks: what looks into a training run."""
