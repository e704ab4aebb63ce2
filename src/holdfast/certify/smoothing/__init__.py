"""Certificates from votes under noise, and mixtures of models."""
