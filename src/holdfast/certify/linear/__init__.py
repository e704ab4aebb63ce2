"""Boxes and linear bounds over a region: IBP, CROWN, alpha-CROWN."""
