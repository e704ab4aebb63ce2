"""The pages of one run and the list of all: what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from holdfast.core.errors import ConfigError
from holdfast.report.closing import not_tested
from holdfast.report.document import Document, figures, findings, mapping, mappings, readings, text
from holdfast.report.drawn import Desk, Drawn, Thrift, drawn
from holdfast.report.numbers import Shown, shown
from holdfast.report.parts import APART, Said, said
from holdfast.report.screen import screen
from holdfast.report.whisker import whisker
from holdfast.report.words import SECTIONS
from holdfast.serve.cards import Card
from holdfast.serve.frame import Frame, render
from holdfast.serve.gathered import WIDER
from holdfast.serve.live import Pulse, pulse
from holdfast.serve.notes import LONGEST, NAMED
from holdfast.serve.question import Answer
from holdfast.serve.shelf import Shelf
from holdfast.serve.tables import TABLES

_PICTURES = Thrift(pictures=8_000_000, rows=200)
EXAMPLES = (
    ("The lowest worst cases",
     "SELECT name, threat, value, low, high, n FROM numbers\n"
     "WHERE name LIKE 'attacks.worst%' ORDER BY value"),
    ("Widest intervals",
     "SELECT name, value, high - low AS width, n FROM numbers\nORDER BY width DESC LIMIT 10"),
    ("What each check cost",
     "SELECT check_name, state, seconds FROM checks ORDER BY seconds DESC"),
    ("One number over all runs",
     "SELECT day, run, value, low, high FROM all_numbers JOIN runs USING (run)\n"
     "WHERE name = 'clean.accuracy' ORDER BY day, run"),
    ("Points of the figures",
     "SELECT figure, field, count(*) AS points, avg(value) AS mean FROM points\n"
     "WHERE value IS NOT NULL GROUP BY ALL ORDER BY figure, field"),
)  # fmt: skip


@dataclass(frozen=True)
class Sought:
    """What the list of runs is narrowed to; empty words narrow nothing."""

    q: str = ""
    model: str = ""
    data: str = ""
    verdict: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Sought:
        """From the query of an address."""
        return cls(**{k: text(query.get(k), 120) for k in ("q", "model", "data", "verdict")})

    def finds(self, card: Card) -> bool:
        """Whether a run is among those sought: every word of the free text stands somewhere."""
        pairs = ((self.model, card.model), (self.data, card.data), (self.verdict, card.word))
        return all(not wanted or wanted == own for wanted, own in pairs) and all(
            word in card.words for word in self.q.lower().split()
        )


def runs_page(shelf: Shelf, frame: Frame, sought: Sought) -> str:
    """All runs, narrowed by the query; an exported list holds all and is narrowed by its script."""
    every = shelf.cards()
    found = every if frame.links.static else [c for c in every if sought.finds(c)]
    choices = {
        "model": sorted({c.model for c in every}),
        "data": sorted({c.data for c in every if c.data}),
        "verdict": sorted({c.word for c in every}),
    }  # fmt: skip
    return render(
        "runs.html", frame, cards=found, count=len(every), sought=sought, choices=choices,
        words={"model": "Model", "data": "Data", "verdict": "Verdict"},
    )  # fmt: skip


def _numbers(results: Document) -> list[tuple[str, list[tuple[Shown, Markup]]]]:
    """All numbers by section, each with its drawing."""
    groups: dict[str, list[tuple[Shown, Markup]]] = {}
    for key, reading in readings(results):
        one = shown(reading)
        title = SECTIONS[key][0] if key in SECTIONS else key.replace("-", " ").capitalize()
        groups.setdefault(title or "Other", []).append((one, whisker(one)))
    return list(groups.items())


def _serious(results: Document) -> list[Said]:
    """Findings that a person should read before anything else."""
    made = [said(f) for _, f in findings(results) if text(f.get("says"))]
    made += [said(f) for f in mappings(results.get("preflight"))]
    return [s for s in made if s.state in {"failure", "warning"}]


def run_page(shelf: Shelf, frame: Frame, run: str, *, wrong: str = "",
             kept: tuple[str, str] = ("", ""),
             linked: frozenset[str] | None = None) -> str:  # fmt: skip
    """One run: its verdict, gates, numbers, notes and files; a running one as it goes.

    Args:
        shelf: where it is kept.
        frame: of the page.
        run: its name.
        wrong: why a note was not kept.
        kept: name and text of that note.
        linked: earlier runs with a page of comparison; all unless given.
    """
    card, results, facts = shelf.card(run), shelf.results(run), shelf.facts(run)
    goes: Pulse | None = pulse(shelf, run) if card.state == "running" else None
    told = dict(results) | {k: facts[k] for k in ("command", "actions") if k in facts}
    return render(
        "run.html", frame, card=card, tab="run", pulse=goes, there=bool(results),
        screen=screen(told, facts), groups=_numbers(results), serious=_serious(results)[:8],
        untested=not_tested(results), files=shelf.files(run), wrong=wrong, kept=kept,
        longest=LONGEST, named=NAMED, neighbours=_neighbours(shelf, card, linked),
    )  # fmt: skip


def _neighbours(shelf: Shelf, card: Card, linked: frozenset[str] | None) -> Sequence[Card]:
    """Earlier runs of the same model, the latest first: what one would compare with."""
    every = shelf.cards()
    place = next((i for i, c in enumerate(every) if c.id == card.id), len(every))
    same = [c for c in every[place + 1 :] if c.model == card.model and c.state != "running"]
    return [c for c in same if linked is None or c.id in linked][:3]


def failures_page(shelf: Shelf, frame: Frame, run: str) -> str:
    """The gallery of what broke, with both answers."""
    results, desk = shelf.results(run), Desk(_PICTURES)
    found = (drawn(desk, figure) for s, figure in figures(results, "gallery") if s == APART)
    made: list[Drawn] = [one for one in found if one is not None]
    return render("failures.html", frame, card=shelf.card(run), tab="failures", figures=made)


def ask_page(shelf: Shelf, frame: Frame, run: str, question: str = "",
             answer: Answer | None = None) -> str:  # fmt: skip
    """The SQL box with the answer, if something was asked."""
    return render(
        "ask.html", frame, card=shelf.card(run), tab="ask", answer=answer, examples=EXAMPLES,
        question=question or EXAMPLES[0][1], tables=TABLES | WIDER,
        swept=bool(mapping(shelf.facts(run).get("rows"))),
    )  # fmt: skip


def problem_page(
    frame: Frame, title: str, says: str, fix: str = "", *, command: str = "", locked: bool = False
) -> str:
    """What went wrong and what helps; whoever has no key is shown no way further in."""
    return render(
        "problem.html", frame, title=title, says=says, fix=fix, command=command, locked=locked,
        home=not locked,
    )  # fmt: skip


def refused(error: ConfigError) -> str:
    """The sentence of an error for a page."""
    return f"{error.says[:1].upper()}{error.says[1:]}. {error.fix}"
