"""Certificates from Lipschitz constants of networks."""
