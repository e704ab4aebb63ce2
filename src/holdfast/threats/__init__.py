"""Sets of admissible changes."""
