"""Certifiers: upper bounds on what any admissible change can achieve."""
