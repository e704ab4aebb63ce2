"""Detectors: scores that say how far to trust an output."""
