"""Environments with known truth, agents, and what can be promised about their returns."""
