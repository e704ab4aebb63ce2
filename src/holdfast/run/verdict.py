"""The verdict: one function turns readings, gates and outcomes into a word and an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from holdfast.core.records import Outcome, Reading
from holdfast.run.accepted import Acceptance, accept
from holdfast.run.decisions import CUT, LACKS, RANK, STOPPED, Decision, Judged, decide, judge
from holdfast.run.gates import Gate

if TYPE_CHECKING:
    from holdfast.run.paired import Paired

__all__ = ["CUT", "LACKS", "STOPPED", "Decision", "Judged", "Verdict", "decide", "verdict"]

Word = Literal["READY", "NOT READY", "UNDECIDED", "INCOMPLETE"]
PASS, FAIL, USAGE, UNDECIDED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 4, 130


@dataclass(frozen=True)
class Verdict:
    """The word, the exit code and the sentence of an audit, with every gate."""

    word: Word
    code: int
    says: str
    gates: tuple[Judged, ...]


def verdict(
    readings: Iterable[Reading],
    gates: Sequence[Gate],
    outcomes: Sequence[Outcome],
    baseline: Mapping[str, float] | None = None,
    *,
    paired: Mapping[str, Paired] | None = None,
    accepted: Sequence[Acceptance] = (),
    day: date | None = None,
) -> Verdict:
    """Word, sentence and exit code: 0 pass, 1 a gate fails, 3 undecided, 130 interrupted.

    The only place that decides them; 2 (usage) and 4 (internal) are no verdict but an error, and
    belong to the errors that `holdfast.cli.front` explains.

    Args:
        readings: all numbers of the audit.
        gates: the limits.
        outcomes: what became of each check.
        baseline: values of an earlier run by name, for relative gates.
        paired: changes since that run on shared rows, by name; relative gates prefer them.
        accepted: risks that somebody answers for; read nowhere else.
        day: on which the verdict is given; an acceptance ends with its last day.
    """
    known = list(readings)
    lines = (line for g in gates for line in judge(g, known, outcomes, baseline, paired))
    judged = tuple(accept(line, accepted, day) for line in lines)
    word, code, says = _words(judged, outcomes)
    return Verdict(word, code, says, judged)


def _words(judged: Sequence[Judged], outcomes: Sequence[Outcome]) -> tuple[Word, int, str]:
    """Word, code and sentence: the first line that holds decides."""
    names = {d: [j.name for j in judged if j.verdict == d] for d in RANK}
    beside, borne = names["not applicable"], names["accepted"]
    count = len(judged) - len(beside)
    total = f"of {count} gate{'s' * (count != 1)}"
    failed = f"{len(names['fail'])} {total} fail{'s' * (len(names['fail']) == 1)}"
    missing, close = len(names["missing"]), len(names["undecided"])
    so_far = f"; so far {failed}" if names["fail"] else ""
    crashed = [o.check for o in outcomes if o.error]
    table: list[tuple[bool, Word, int, str]] = [
        (any(o.skipped.startswith(STOPPED) for o in outcomes), "INCOMPLETE", INTERRUPTED,
         f"The audit was stopped before its end{so_far}. The same command continues."),
        (bool(names["fail"]), "NOT READY", FAIL, f"{failed}: {_list(names['fail'])}."),
        (bool(missing), "INCOMPLETE", UNDECIDED,
         f"{missing} {total} could not be tested: {_list(names['missing'])}."),
        (bool(crashed), "INCOMPLETE", UNDECIDED,
         f"No gate fails, but {_list(crashed)} ended in an error."),
        (bool(close), "UNDECIDED", UNDECIDED, _undecided(judged, total)),
        (not count, "READY", PASS, "No gates are set, so nothing could fail."),
        (bool(borne), "READY", PASS, f"{len(names['pass'])} {total} pass."),
        (True, "READY", PASS, f"All {count} gates pass."),
    ]  # fmt: skip
    word, code, says = next(row[1:] for row in table if row[0])
    says += f" Accepted for now: {_list(borne)}." if borne else ""
    return word, code, says + (f" Not applicable: {_list(beside)}." if beside else "")


def _undecided(judged: Sequence[Judged], total: str) -> str:
    """Which gates stay open, and whether their interval or their self-checks leave them so."""
    open_ = [j for j in judged if j.verdict == "undecided"]
    doubted, close = ([j.name for j in open_ if bool(j.flags) is f] for f in (True, False))
    be, doubt = "is" if len(close) == 1 else "are", f"self-checks doubt {_list(doubted)}"
    if not close:
        return f"{len(doubted)} {total} cannot be decided: {doubt}."
    said = f"{len(close)} {total} {be} too close to call: {_list(close)}"
    return f"{said}; {doubt}." if doubted else f"{said}."


def _list(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
