"""Merges: several states become one."""
