"""Rule-based edits of English texts, and the shift that applies one of them to a batch."""
