"""The harness: knows kinds, never a method."""
