"""Questions asked of what reads and writes texts."""
