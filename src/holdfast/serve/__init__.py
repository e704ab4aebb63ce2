"""The dashboard: the runs of a store in a browser, read and never decided.

The verdict of a run stands in its `results.json`; these pages show it, compare it, ask it
questions and keep notes beside it. `pages` and `export` know no server, `app` is the only place
that does.
"""
