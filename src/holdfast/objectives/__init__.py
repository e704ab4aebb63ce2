"""Objectives: one loss per row, given a run and a batch."""
