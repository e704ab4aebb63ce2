"""What each stage of a portfolio cost and won, as a figure of the report."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from holdfast.core.kinds import Threat
from holdfast.core.records import Cell, Figure
from holdfast.run.search import Found
from holdfast.run.stages import Stage


def entered(stages: dict[str, Stage], name: str, won: Tensor, found: Found) -> None:
    """Enter one search into the ledger; one that kept none of its own is a single stage.

    Args:
        stages: so far, by name.
        name: of the attack.
        won: `(B,)` bool, rows that it broke.
        found: what it found.
    """
    spent = found.passes
    whole = Stage(name, len(won), int(won.sum()), 0, spent.forwards, spent.backwards)
    for stage in found.stages or (whole,):
        old = stages.get(stage.name)
        stages[stage.name] = old + stage if old else stage


def breakers(name: str, found: Found, won: Tensor) -> list[str]:
    """For each broken row the stage that broke it; the attack, where no stages are known."""
    rows = won.nonzero().flatten()
    if found.by is None or not found.stages:
        return [name] * len(rows)
    at = found.by[rows].tolist()
    return [found.stages[k].name if k >= 0 else name for k in at]


def ledger(stages: Sequence[Stage], threat: Threat, n: int) -> Figure:
    """One line per stage; without seconds, since findings are the same on every machine."""
    rows: list[dict[str, Cell]] = [
        {
            "stage": s.name, "rows": s.rows, "broken": s.broken, "set aside": s.aside,
            "forwards": s.forwards, "backwards": s.backwards,
        }
        for s in stages
        if s.forwards or s.backwards or s.broken or s.aside
    ]  # fmt: skip
    return Figure(
        name=f"ledger-{threat.spec}",
        kind="table",
        title=f"Where the passes went, {threat.spec}",
        says=_says(stages, n),
        rows=tuple(rows),
    )


def _says(stages: Sequence[Stage], n: int) -> str:
    """The stage that broke most rows, how many were set aside, what a row cost."""
    tried = [s for s in stages if s.name != "clean"]
    best = max(tried, key=lambda s: s.broken, default=None)
    passes = sum(s.forwards + s.backwards for s in stages)
    words = []
    if best is not None and best.broken:
        name = best.name.removeprefix("attack:")
        words.append(f"{name} broke {best.broken} of the {best.rows} rows it was tried on")
    else:
        words.append("No stage broke a row")
    aside = sum(s.aside for s in tried)
    words.append(f"{aside} {'were' if aside != 1 else 'was'} set aside as hopeless"
                 if aside else "none was set aside")  # fmt: skip
    words.append(f"{passes / n:,.0f} passes per row" if n else "no passes")
    first, *rest = words
    return f"{first[:1].upper()}{first[1:]}; {'; '.join(rest)}."
