"""Recipes: ready training runs."""
