"""The first screen: what was audited, the verdict, the gates, the worst number, two fixes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import shorten

from markupsafe import Markup

from holdfast.report.document import Document, mapping, mappings, number, readings, text
from holdfast.report.numbers import Shown, limit, shown
from holdfast.report.units import words
from holdfast.report.whisker import whisker
from holdfast.report.words import BESIDE, WORDS, verdict

_CARDS, _FIXES, _SENTENCE, _STOPPED = 6, 2, 160, 130


@dataclass(frozen=True)
class Gate:
    """One gate as a card: number, demand, word, colour class and drawing."""

    shown: Shown
    wants: str
    state: str
    mark: str
    word: str
    drawing: Markup
    why: str = ""
    rule: str = ""
    accepted: str = ""


@dataclass(frozen=True)
class Fix:
    """One action: what to do, the exact command, the predicted effect."""

    says: str
    command: str
    effect: str


@dataclass(frozen=True)
class Screen:
    """Everything that the first screen shows."""

    title: str
    facts: tuple[str, ...]
    sampled: bool
    word: str
    state: str
    says: str
    gates: tuple[Gate, ...]
    hidden: int
    gates_from: str
    worst: Shown | None
    worst_drawing: Markup
    worst_unit: str
    fixes: tuple[Fix, ...]


def gates(results: Document) -> list[Gate]:
    """All gates, in the order of the document."""
    made = []
    for gate in mappings(results.get("gates")):
        number_of, relation = shown(gate), text(gate.get("relation"), 4)
        bound = number(gate.get("limit"))
        state, mark, word = verdict(gate.get("verdict"))
        picture = whisker(number_of, bound, relation)
        why = text(gate.get("says"), 300)
        unit = text(gate.get("unit"), 40) or ("" if number_of.name.startswith("ood.") else "share")
        wants = limit(bound, relation, unit)
        rule, kept = text(gate.get("rule"), 200), mapping(gate.get("accepted"))
        brief = ", ".join(filter(None, (text(kept.get("name"), 60), day_of(kept.get("until")))))
        made.append(Gate(number_of, wants, state, mark, word, picture, why, rule, brief))
    return made


def day_of(value: object) -> str:
    """`until` a day, empty without one."""
    return f"until {text(value, 10)}" if value else ""


def worst(results: Document) -> Shown | None:
    """The smallest worst-case accuracy of the audit; without one, the smallest robust share."""
    every = [r for _, r in readings(results) if number(r.get("value")) is not None]
    named = [r for r in every if text(r.get("name")).startswith("attacks.worst@")]
    shares = [r for r in every if r.get("unit", "share") == "share" and r.get("better") == "higher"]
    chosen = named or shares
    if not chosen:
        return None
    return shown(min(chosen, key=lambda r: number(r.get("value")) or 0.0))


def actions(results: Document) -> list[Fix]:
    """All actions in their order; a command that ends the sentence stands for itself."""
    made = []
    for action in mappings(results.get("actions")):
        says, command = text(action.get("says"), 400), text(action.get("command"), 300)
        if not command and ": holdfast " in says:
            says, _, rest = says.partition(": holdfast ")
            command = f"holdfast {rest}"
        made.append(Fix(says, command, text(action.get("effect"), 120)))
    return made


def next_steps(results: Document) -> list[Fix]:
    """The first actions; an audit that was stopped is finished first."""
    said = mapping(results.get("verdict"))
    found = [
        replace(a, says=shorten(a.says, 76, placeholder="\u2026"))
        for a in sorted(actions(results), key=lambda a: not a.command)
    ]
    command = text(results.get("command"), 300)
    if number(said.get("code")) == _STOPPED and command:
        found.insert(0, Fix("Finish the audit", command, "nothing is computed twice"))
    return found[:_FIXES]


def day(run: Document) -> str:
    """The day the audit ended or began, if the run tells it as an ISO time."""
    for key in ("finished", "ended", "started", "date", "time"):
        stamp = text(run.get(key), 40)
        if len(stamp) >= len("2026-11-20") and stamp[:4].isdigit():
            return stamp[:10]
    return ""


def short(digest: object) -> str:
    """The first letters of a digest, enough to tell two models apart."""
    plain = text(digest, 100)
    head, _, rest = plain.rpartition(":")
    return f"{head}:{rest[:8]}" if head else plain[:8]


def facts(results: Document, run: Document) -> tuple[str, ...]:
    """The header line: model, data, rows, suite, day."""
    subject = mapping(results.get("subject"))
    model, data = mapping(subject.get("model")), mapping(subject.get("data"))
    n = number(data.get("n"))
    line = (
        short(model.get("digest")),
        text(data.get("name"), 60),
        "" if n is None else f"n={n:,.0f}",
        text(results.get("suite"), 30),
        day(run),
    )
    return tuple(f for f in line if f)


def sentence(says: str, every: list[Gate]) -> str:
    """The sentence of the verdict with the names of gates put in words."""
    labels = [g.shown.label for g in every]
    for gate in sorted(every, key=lambda g: -len(g.shown.name)):
        if one := gate.shown.name:
            label = gate.shown.label
            put = label[:1].lower() + label[1:]
            if labels.count(label) > 1 and gate.shown.threat:
                put += f" ({gate.shown.threat})"
            says = says.replace(one, put)
    return text(says, _SENTENCE)


def screen(results: Document, run: Document) -> Screen:
    """The first screen of this document."""
    said = mapping(results.get("verdict"))
    word = text(said.get("word"), 20).upper() or "NO VERDICT"
    every, least = gates(results), worst(results)
    order = {"fail": 0, "missing": 1, "undecided": 1, "accepted": 2, "pass": 3}
    first = sorted(every, key=lambda g: (g.word == BESIDE, order[g.state]))[:_CARDS]
    return Screen(
        title=text(mapping(results.get("subject")).get("name"), 80) or "model",
        facts=facts(results, run),
        sampled=mapping(results.get("subject")).get("sampled") is True,
        word=word,
        state=WORDS.get(word, "undecided"),
        says=sentence(text(said.get("says"), 400), every),
        gates=tuple(first),
        hidden=len(every) - len(first),
        gates_from=text(results.get("gates_from"), 80),
        worst=least,
        worst_drawing=whisker(least) if least else Markup(""),
        worst_unit=words(results, least.threat) if least else "",
        fixes=tuple(next_steps(results)),
    )
