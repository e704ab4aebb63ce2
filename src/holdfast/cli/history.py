"""`holdfast history`: how the numbers of successive versions of a model went."""

from __future__ import annotations

import json as text
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from holdfast.run.history import Version
    from holdfast.run.store import Store

STORE = ".holdfast"
_STEPS = "▁▂▃▄▅▆▇█"
_USUAL = ("clean.accuracy", "attacks.worst@*", "certificates.proved@*", "calibration.ece")


def spark(values: Sequence[float | None]) -> str:
    """One sign per value, from the smallest to the largest; a gap where there is none."""
    known = [v for v in values if v is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(_STEPS) - 1

    def sign(value: float | None) -> str:
        if value is None:
            return " "
        return _STEPS[round(top * (value - low) / span)] if span else _STEPS[top // 2]

    return "".join(map(sign, values))


def lineage(
    store: Store, run: str, model: str, suite: str, results: Mapping[str, Any]
) -> dict[str, Any]:
    """What the report shows of earlier versions: the numbers under the gates of this run."""
    from holdfast.run.history import versions

    names = [g["name"] for g in results["gates"]]
    found = versions(store.ledger, model, names, suite=suite, also=run)
    here = [v.run for v in found].index(run) + 1 if run in {v.run for v in found} else len(found)
    return {"history": [asdict(v) for v in found[:here]]} if here > 1 else {}


def history(
    model: Annotated[
        str | None, typer.Argument(help="Name of a model as in holdfast ls; all unless given.")
    ] = None,
    number: Annotated[
        list[str] | None, typer.Option(help="Which numbers, as clean.*; repeatable.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Only runs of this suite.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Show how the numbers of successive versions went, one line each, the latest to the right.

    Versions are the finished runs of one model name in this folder. Shown are the numbers that
    have gates in the latest run.
    """
    from holdfast.core.errors import ConfigError
    from holdfast.run.history import versions
    from holdfast.run.store import Store

    store = Store(STORE)
    known = list(dict.fromkeys(r.model for r in store.ledger.runs() if r.state == "finished"))
    if model is not None and model not in known:
        names = ", ".join(known[-5:]) or "none"
        raise ConfigError(
            f"history: there is no finished run of {model!r}, but of: {names}",
            fix="See: holdfast ls", code="E0179",
        )  # fmt: skip
    found = {}
    for name in [model] if model else known:
        wanted = tuple(number or _gated(store, name))
        found[name] = versions(store.ledger, name, wanted, suite=suite)
    if json:
        rows = {name: [asdict(v) for v in every] for name, every in found.items()}
        print(text.dumps(rows, indent=1))
        return 0
    for name, every in found.items():
        _print(name, every)
    if not known:
        print("no finished runs yet: holdfast demo, or holdfast audit MODEL --data DATA")
    return 0


def _gated(store: Store, model: str) -> list[str]:
    """Names under gates in the latest run of a model; the usual ones where it has none."""
    from holdfast.core.errors import ConfigError

    rows = [r for r in store.ledger.runs() if r.model == model and r.state == "finished"]
    try:
        gates = store.results(rows[-1].id)["gates"]
    except ConfigError:  # its folder is gone, the ledger still knows the numbers
        gates = []
    return [g["name"] for g in gates if g["value"] is not None] or list(_USUAL)


def _print(model: str, every: Sequence[Version]) -> None:
    """One model: its runs, then one line per number."""
    if not every:
        return
    days = list(dict.fromkeys((every[0].day, every[-1].day)))
    words = list(dict.fromkeys((every[0].word, every[-1].word)))
    count = f"{len(every)} run{'s' * (len(every) > 1)}"
    print(f"{model}   {count}, {' to '.join(days)}   {' -> '.join(words)}")
    names = dict.fromkeys(n for v in reversed(every) for n in v.numbers)
    for name in names:
        ends = [v.numbers.get(name, (None, None, None)) for v in every]
        drawn = spark([e[0] for e in ends])
        seen = [e for e in ends if e[0] is not None]
        if not seen:
            continue
        first, (value, low, high) = seen[0][0], seen[-1]
        last = f"{value:.4g}" + ("" if low is None or high is None else f" [{low:.4g}, {high:.4g}]")
        print(f"  {name:<34} {drawn:<{len(every)}}   {first:.4g} -> {last}")
