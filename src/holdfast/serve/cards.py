"""One run in a list: what it is about, how it ended, its worst number, or how far it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from holdfast.report.document import Document, mapping, number, text
from holdfast.report.numbers import shown
from holdfast.report.screen import worst
from holdfast.report.words import WORDS
from holdfast.run.ledger import RunRow
from holdfast.serve.notes import Note

QUIET = 15.0  # seconds without a beat after which nobody is believed to be alive


@dataclass(frozen=True)
class Card:
    """One run in a list: what it is about, how it ended, its worst number."""

    id: str
    number: int
    model: str
    data: str
    suite: str
    state: str
    word: str
    colour: str
    says: str
    day: str
    worst: str
    interval: str
    threat: str
    notes: tuple[Note, ...] = ()
    going: str = ""

    @property
    def words(self) -> str:
        """Everything that free text is sought in."""
        noted = " ".join(f"{n.name} {n.text}" for n in self.notes)
        every = (self.id, self.model, self.data, self.suite, self.word, self.says, self.threat)
        return " ".join((*every, noted)).lower()


def card_of(run: str, row: RunRow | None, results: Document) -> Card:
    """The card of a run from its line in the ledger and its results; either may be absent."""
    subject, said = mapping(results.get("subject")), mapping(results.get("verdict"))
    options: dict[str, Any] = row.options if row else {}
    data = text(mapping(subject.get("data")).get("name") or options.get("data"), 80)
    word = text(said.get("word"), 20).upper()
    least = worst(results)
    known = least is not None and number(least.raw[0]) is not None
    return Card(
        id=run,
        number=row.number if row else 0,
        model=text(subject.get("name") or (row.model if row else ""), 80) or "model",
        data=data.rpartition("/")[2] or data,
        suite=text(results.get("suite") or (row.suite if row else ""), 40),
        state=row.state if row else "finished",
        word=word,
        colour=WORDS.get(word, "undecided"),
        says=text(said.get("says"), 400),
        day=text(row.started if row else run, 40)[:10],
        worst=least.value if least and known else "",
        interval=least.interval if least and known else "",
        threat=least.threat if least and known else "",
    )


def quiet(live: Document, now: float | None = None) -> float | None:
    """Seconds without a sign of life, None while there are signs.

    Args:
        live: what the running audit wrote last; empty if nothing.
        now: seconds since the epoch; this moment unless given.
    """
    silent = (time.time() if now is None else now) - (number(live.get("beat")) or 0.0)
    return silent if silent > QUIET else None


def going(live: Document) -> dict[str, Any]:
    """What the card of a running audit shows."""
    if quiet(live) is not None:
        return {"word": "STOPPED", "colour": "undecided", "says": "No sign of life."}
    least = mapping(live.get("worst"))
    one = shown(least) if least else None
    done, total = (number(live.get(k)) or 0.0 for k in ("done", "total"))
    return {
        "going": f"{done:.0f} of {total:.0f} checks", "worst": one.value if one else "",
        "interval": one.interval if one else "", "threat": one.threat if one else "",
    }  # fmt: skip


def standing(row: RunRow | None, card: Card) -> dict[str, Any]:
    """What may change while the results stay: a run goes on, or is taken up again."""
    if row is None:
        return {}
    running = row.state == "running"
    word = "RUNNING" if running else card.word or "NO VERDICT"
    return {
        "number": row.number, "state": row.state, "word": word,
        "colour": "running" if running else card.colour, "day": text(row.started, 40)[:10],
    }  # fmt: skip
