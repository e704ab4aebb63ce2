"""Measures of language models: what a prompt can and cannot make them say."""
