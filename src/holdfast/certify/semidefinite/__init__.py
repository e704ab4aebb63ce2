"""Certificates from semidefinite relaxations."""
