"""The vocabulary: kinds, dice, goals, records, fields, the catalogue, papers and errors."""
