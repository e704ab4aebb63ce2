"""Generators of rows about which the truth is known."""
