"""Two runs side by side: facts, gates and numbers, those that differ first of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.report.change import Change, changes
from holdfast.report.document import Document, mapping, mappings, number, readings, text
from holdfast.report.numbers import Shown, shown
from holdfast.report.screen import Gate, gates, short
from holdfast.report.tables import entry
from holdfast.serve.cards import Card
from holdfast.serve.frame import Frame, render
from holdfast.serve.shelf import Shelf

_UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Pair:
    """One line of a comparison; `equal` ones are shown on request."""

    name: str
    before: str
    after: str
    equal: bool


@dataclass(frozen=True)
class Flip:
    """One gate in both runs; None where a run does not know it."""

    label: str
    threat: str
    before: Gate | None
    after: Gate | None

    @property
    def equal(self) -> bool:
        """Whether the verdict stayed."""
        words = [g.word if g else "" for g in (self.before, self.after)]
        return words[0] == words[1]


def _facts(results: Document, run: Document) -> Iterator[tuple[str, str]]:
    subject = mapping(results.get("subject"))
    model, data = mapping(subject.get("model")), mapping(subject.get("data"))
    yield "Verdict", text(mapping(results.get("verdict")).get("word"), 20)
    yield "Model", text(subject.get("name"), 80)
    yield "Weights", short(model.get("digest"))
    yield "Parameters", entry(model.get("parameters"))
    yield "Kind", text(model.get("kind"), 80)
    yield "Data", text(data.get("name"), 80)
    yield "Digest of the data", short(data.get("digest"))
    yield "Rows", entry(data.get("n"))
    threats = subject.get("threats")
    yield "Threats", ", ".join(text(t, 80) for t in threats) if isinstance(threats, list) else "–"
    yield "Suite", text(results.get("suite"), 60)
    yield "Seed", entry(results.get("seed"))
    yield "Gates from", text(results.get("gates_from"), 80)
    seconds = number(run.get("seconds"))
    yield "Time", "–" if seconds is None else f"{seconds:.1f} s"
    for key in ("holdfast", "torch", "python"):
        yield key, text(run.get(key), 40) or "–"


def facts(before: tuple[Document, Document], after: tuple[Document, Document]) -> list[Pair]:
    """What was asked, of what and with what, in both runs."""
    both = zip(_facts(*before), _facts(*after), strict=True)
    return [Pair(name, a or "–", b or "–", a == b) for (name, a), (_, b) in both]


def flips(before: Document, after: Document) -> list[Flip]:
    """Every gate of either run, changed verdicts first."""
    old, new = ({g.shown.name: g for g in gates(d)} for d in (before, after))
    made = []
    for name in {**old, **new}:
        one = new.get(name) or old[name]
        threat = "" if one.shown.threat == "*" else one.shown.threat
        made.append(Flip(one.shown.label, threat, old.get(name), new.get(name)))
    return sorted(made, key=lambda f: f.equal)


def alone(before: Document, after: Document) -> list[tuple[Shown, str]]:
    """Numbers that only one of both runs knows."""
    old, new = ({text(r.get("name")): r for _, r in readings(d)} for d in (before, after))
    made = [(shown(r), "before only") for name, r in old.items() if name not in new]
    return made + [(shown(r), "after only") for name, r in new.items() if name not in old]


def equal(change: Change) -> bool:
    """Whether both numbers are the same."""
    return change.word == _UNCHANGED


def _proposed(cards: list[Card], chosen: list[Card | None]) -> list[Card | None]:
    """What the choice begins with: the latest run that has numbers, and the one before it.

    Before it stands an earlier run of the same model where there is one. What was chosen stays.
    """
    told = [c for c in cards if c.state != "running" and c.worst]
    after = chosen[1] or next((c for c in told if c != chosen[0]), None)
    earlier = [c for c in told[told.index(after) + 1 :] if c != after] if after in told else told
    same = [c for c in earlier if after is not None and c.model == after.model]
    before = chosen[0] or next(iter(same or earlier), None)
    return [before, after]


def compare_page(shelf: Shelf, frame: Frame, first: str, second: str, *, every: bool = False,
                 linked: tuple[tuple[str, str], ...] = ()) -> str:  # fmt: skip
    """Two runs side by side, or a choice of two.

    Args:
        shelf: where they are kept.
        frame: of the page.
        first: the run before.
        second: the run after.
        every: show what is equal too.
        linked: pairs that an exported site holds.
    """
    cards = shelf.cards()
    chosen = [shelf.card(run) if run else None for run in (first, second)]
    if None in chosen:
        chosen = _proposed(cards, chosen)
        return render("compare.html", frame, cards=cards, chosen=chosen, ready=False, linked=linked)
    (a, ran_a), (b, ran_b) = ((shelf.results(r), shelf.facts(r)) for r in (first, second))
    numbers = changes(b, a)
    count = {s: sum(c.state == s for c in numbers) for s in ("pass", "fail")}
    return render(
        "compare.html", frame, cards=cards, chosen=chosen, ready=True, linked=(), every=every,
        facts=facts((a, ran_a), (b, ran_b)), flips=flips(a, b), numbers=numbers, equal=equal,
        alone=alone(a, b), better=count["pass"], worse=count["fail"],
        hidden=sum(map(equal, numbers)), known=bool(mappings(a.get("outcomes"))),
    )  # fmt: skip
