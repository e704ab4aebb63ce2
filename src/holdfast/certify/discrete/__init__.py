"""Certificates for text, prompts and rankings."""
