"""Writes the pages that follow from the code, then lets Sphinx build the site."""
