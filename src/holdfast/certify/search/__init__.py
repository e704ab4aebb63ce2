"""Complete search: branch and bound, mixed-integer programs, and attacks that refute."""
