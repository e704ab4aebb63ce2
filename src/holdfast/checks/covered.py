"""How much of a list of things is looked at by a check: one share and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.core.records import Cell, Figure, Finding, Reading, Severity


def covered(
    name: str,
    what: str,
    missing: Sequence[str],
    total: int,
    rows: Sequence[Mapping[str, Cell]],
    *,
    figure: str,
    title: str,
    seed: int,
) -> Finding:
    """The finding that says which share of a list is looked at, and names the rest.

    Args:
        name: of the reading.
        what: the things of the list, in the plural.
        missing: names of those that nothing looks at.
        total: how many there are.
        rows: of the table.
        figure: name of the table.
        title: of the table.
        seed: of the audit.
    """
    seen = total - len(missing)
    says = f"{seen} of {total} {what} are looked at by a check"
    says += f"; not: {', '.join(missing)}." if missing else "."
    share = seen / total
    reading = Reading(
        name=name, value=share, low=share, high=share, n=total, bound="exact", seed=seed
    )
    table = Figure(name=figure, kind="table", title=title, says=says, rows=tuple(map(dict, rows)))
    return Finding(severity=Severity.INFO, says=says, readings=(reading,), figures=(table,))
