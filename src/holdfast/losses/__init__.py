"""Losses: one number per target."""
