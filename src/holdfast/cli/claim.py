"""`holdfast claim`: try what the papers claim, at small scale."""

from __future__ import annotations

import json as text
import sys
from dataclasses import asdict
from typing import Annotated

import typer


def claim(
    keys: Annotated[list[str] | None, typer.Argument(help="Papers or methods.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every claim.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="The quick ones; with names: leave the ledger alone.")
    ] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Whose method changed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Try claims: does the inequality hold, and does each planted bug make it fail?

    Ends with 1 if a claim stands other than declared or a planted bug goes unnoticed. Without
    arguments the claims are listed.
    """
    import torch

    from holdfast.claims import harness
    from holdfast.core.errors import HoldfastError

    known = harness.claims()
    wanted = chosen(keys or [], all_=all_, quick=quick, changed=changed)
    if wanted is None:
        rows = harness.ledger()
        for key, each in known.items():
            print(f"{key:<28} {rows.get(key, {}).get('standing', 'not tried'):<15} {each.says}")
        return 0
    torch.set_num_threads(min(torch.get_num_threads(), 2))
    kept = not quick and harness.ledger_file().parent.name == "docs"  # a source checkout
    results, wrong = [], 0
    for key in wanted:
        try:
            result = harness.run(known[key])
        except HoldfastError as error:  # one claim that cannot be tried does not end the others
            wrong += 1
            print(f" {key:<28} ✗ failed         {error}", file=sys.stderr, flush=True)
            continue
        results.append(result)
        right = result.standing == known[key].known and result.sound
        wrong += not right
        mark = "✓" if right else "✗"
        pairs = "; ".join(f"{a:.4g} vs {b:.4g}" for a, b in result.trials)
        missed = f"   bugs unnoticed: {', '.join(result.missed)}" if result.missed else ""
        line = f" {key:<28} {mark} {result.standing:<14} {pairs}  {result.seconds:.1f} s{missed}"
        print(line, file=sys.stderr if json else sys.stdout, flush=True)
        if kept:  # at once, so that a stop loses one claim at most
            harness.write([result])
    if json:
        print(text.dumps([asdict(r) for r in results], indent=1))
    return 1 if wrong else 0


def chosen(keys: list[str], *, all_: bool, quick: bool, changed: bool) -> list[str] | None:
    """Keys of the claims to try, None where nothing was asked for.

    Raises:
        ConfigError: for a key that is neither a claim nor a method with one.
    """
    from difflib import get_close_matches

    from holdfast.claims import harness
    from holdfast.core.errors import ConfigError

    known = harness.claims()
    if not (keys or all_ or quick or changed):
        return None
    some = quick and not keys
    found = set(known) if all_ else {k for k, c in known.items() if some and c.quick}
    found |= set(harness.stale()) if changed else set()
    for key in keys:
        of_method = {
            k
            for k, c in known.items()
            if key in c.methods or key in {m.partition(":")[2] for m in c.methods}
        }
        if key not in known and not of_method:
            near = get_close_matches(key, known, 3)
            raise ConfigError(
                f"claim: there is no {key!r}", code="E0127",
                fix=f"Did you mean {', '.join(near)}?" if near else "See: holdfast claim",
            )  # fmt: skip
        found |= {key} if key in known else of_method
    return sorted(found)
