"""Layers: citizens of torch that architectures are built of."""
