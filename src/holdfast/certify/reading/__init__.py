"""How any model becomes such a graph: its operators are recorded as they run."""
