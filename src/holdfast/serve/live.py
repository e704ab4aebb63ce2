"""How a running audit goes, from the sign of life in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.report.document import mapping, mappings, number, text
from holdfast.report.numbers import Shown, shown
from holdfast.serve.cards import quiet
from holdfast.serve.shelf import Shelf, read

NAME = "live.json"
_SHORT, _MINUTE = 100, 60


@dataclass(frozen=True)
class Pulse:
    """One look at a running audit.

    Args:
        state: `running`, `writing`, `quiet` (no sign of life), or `over`.
        says: the state in words.
        done: checks that are finished.
        total: checks there are.
        doing: what runs now.
        left: time that is left, in words.
        worst: the worst number so far.
        numbers: the first number of each finished check.
        command: what continues the audit.
    """

    state: str
    says: str
    done: int = 0
    total: int = 0
    doing: str = ""
    left: str = ""
    worst: Shown | None = None
    numbers: tuple[Shown, ...] = ()
    command: str = ""

    @property
    def plain(self) -> dict[str, Any]:
        """What an event tells: words and numbers that are ready to be shown."""
        worst = self.worst
        return {
            "state": self.state, "says": self.says, "done": self.done, "total": self.total,
            "doing": self.doing, "left": self.left,
            "worst": [worst.value, worst.interval, worst.label, worst.threat] if worst else [],
            "numbers": [[n.label, n.value, n.interval, n.n, n.threat or "none", n.bound]
                        for n in self.numbers],
        }  # fmt: skip


def clock(seconds: float) -> str:
    """Seconds as people say them: 47 s, 5 min, 2 h 3 min."""
    whole = round(max(seconds, 0.0))
    if whole < _SHORT:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / _MINUTE), _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def pulse(shelf: Shelf, run: str, now: float | None = None) -> Pulse:
    """How an audit goes at this moment.

    Args:
        shelf: where it is kept.
        run: its name.
        now: seconds since the epoch; this moment unless given.
    """
    row = shelf.rows()[run]
    if row is None or row.state != "running":
        return Pulse("over", "This audit is over.")
    told = read(shelf.folder(run) / NAME)
    if not told:
        return Pulse("quiet", "This audit began but shows no sign of life: it was stopped hard, or"
                     " was started by another version.")  # fmt: skip
    silent = quiet(told, now)
    state, doing = text(told.get("state"), 20), text(told.get("doing"), 120)
    if silent is not None:
        says = f"No sign of life for {clock(silent)}: the audit was stopped hard. Nothing" \
               " finished is lost; the same command continues."  # fmt: skip
        state = "quiet"
    elif state == "writing":
        says = "All checks are done; the report is being written."
    else:
        state, says = "running", f"Now: {doing}" if doing else "Preparing."
    least = mapping(told.get("worst"))
    return Pulse(
        state, says, int(number(told.get("done")) or 0), int(number(told.get("total")) or 0),
        doing, clock(number(told.get("left")) or 0.0) if state == "running" else "",
        shown(least) if least else None,
        tuple(shown(r) for r in mappings(told.get("numbers"))[:200]),
        text(told.get("command"), 600),
    )  # fmt: skip
