"""Checks: questions asked of a subject."""
