"""Backward passes: how gradients come about."""
