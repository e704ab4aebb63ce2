"""Named tuples of checks."""
