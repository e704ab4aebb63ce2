"""Finite classes of functions: how rich they are, and learners whose guarantees can be checked.

Everything here goes by enumeration: it serves to try what theory says, not to train nets.
"""
