"""Properties of files: formulas, verdicts, witnesses and proofs."""
