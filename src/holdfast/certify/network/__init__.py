"""Networks as graphs of affine operators and bends, and what each of them owes to bounds."""
