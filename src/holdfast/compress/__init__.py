"""Rewrites: smaller or cheaper models."""
