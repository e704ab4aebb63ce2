"""Where does it break down? Subpopulations, transformations, other sets and attacks together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar

from holdfast.checks.gym.build import (
    attacked,
    evaluation_set,
    subpopulations,
    transformation,
    tried,
)
from holdfast.checks.gym.lines import Line, lines
from holdfast.checks.gym.slice import Slice
from holdfast.checks.rows import sample
from holdfast.core.catalog import entry_of, register, resolve
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, Ingredient, Inner, Part, ingredient, settings
from holdfast.core.kinds import Attack, Check, Shift
from holdfast.core.records import Figure, Finding, Severity, Subject
from holdfast.measures.data.subpopulations import SCORES
from holdfast.shifts.text.reword import FLUKE, Reword


@register("check", name="test-bench", cites="robustness-gym")
@settings
class TestBench(Check):
    """Accuracy of every slice of the data, however it is made, in one table.

    Subpopulations select rows by a score, transformations change them, evaluation sets bring
    others, attacks search for the worst. Each slice has its size, its accuracy with interval, the
    shares of classes and answers; changed rows also the share of answers that stay. A slice is
    called worse where it is so significantly, with all slices considered at once. What a slice
    maker cannot do with this kind of data is left out and said.

    Cost: one forward per row, and per row that is changed or foreign; attacks their own.

    Unlike the paper: intervals of accuracies are exact (Clopper-Pearson) and not Wilson's.

    Args:
        scores: names of the scores whose percentiles, or lists of words, select rows.
        edges: percentiles that cut a score into slices.
        shifts: transformations, at full severity.
        attacks: against the subject's first threat.
        sets: other data sets by name.
        limit: at most so many rows, drawn once from the seed.
        level: expected share of slices that are called worse and are not.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "On which slices does it break down?"
    section: ClassVar = "slices"
    __test__: ClassVar = False  # its name is that of the field, and no test of ours

    scores: tuple[str, ...] = tuple(SCORES)
    edges: tuple[float, ...] = (0.0, 10.0, 50.0, 90.0, 100.0)
    shifts: tuple[Part[Shift], ...] = ("shift:text", "shift:gaussian-noise", "shift:contrast")
    attacks: tuple[Part[Attack], ...] = ()
    sets: Ingredient[Mapping[str, Batches]] = ingredient()
    limit: Count = 1000
    level: Inner = 0.05
    alpha: Inner = 0.05

    def __post_init__(self) -> None:
        if unknown := [s for s in self.scores if s not in SCORES]:
            raise ConfigError(
                f"TestBench.scores: there is no {unknown[0]!r}", fix=f"Scores: {', '.join(SCORES)}."
            )

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return (1.0 + len(self.shifts) + 100.0 * len(self.attacks)) * min(n, self.limit)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        if subject.model is None:
            return
        slices, refused = self.slices(subject, batches)
        if not slices:
            raise Unsupported(
                f"no slice can be made ({'; '.join(refused.values()) or 'none asked'})",
                fix="Give attacks=, shifts= or subpopulations= that fit the rows.",
            )
        right, table = lines(subject.model, batches, slices, level=self.level)
        yield self._finding(float(right.double().mean()), table, refused, subject.seed)

    def slices(self, subject: Subject, batches: Batches) -> tuple[list[Slice], dict[str, str]]:
        """All slices of some rows, and why the makers of others refuse."""
        makers: list[tuple[str, Callable[[], list[Slice]]]] = []
        for name in self.scores:
            makers.append((name, partial(subpopulations, name, SCORES[name], batches, self.edges)))
        for part in self.shifts:
            shift = resolve(part)
            own = partial(transformation, _name(shift), shift, batches, 1.0, subject.seed)
            makers.append((_name(shift), lambda own=own: [own()]))  # type: ignore[misc]
        for attack in map(resolve, self.attacks):
            if not subject.threats or subject.model is None:
                raise Unsupported("attacks of slices need a threat", fix="Give --threats linf:0.1.")
            hit = partial(attacked, attack, subject.model, batches, subject.threats[0])
            makers.append((type(attack).__name__, lambda hit=hit: [hit(subject.seed)]))  # type: ignore[misc]
        for name, data in (self.sets or {}).items():
            makers.append((name, partial(evaluation_set, name, data)))
        return tried(makers)

    def _finding(
        self, overall: float, table: list[Line], refused: dict[str, str], seed: int
    ) -> Finding:
        table = sorted(table, key=lambda line: float(line.right.double().mean()))
        worse = [line.of.name for line in table if line.worse]
        lowest = table[0]
        says = (
            f"{len(worse)} of {len(table)} slices are significantly worse than the accuracy of all "
            f"rows ({overall:.1%})" + (f": {', '.join(worse[:5])}" if worse else "")
            + f"; the lowest is {lowest.of.name} with {float(lowest.right.double().mean()):.1%}."
        )  # fmt: skip
        if refused:
            says += f" Not applicable: {', '.join(refused)}."
        figure = Figure(name="test-bench", kind="table", title="Slices of all kinds", says=says,
                        rows=tuple(line.row(self.alpha) for line in table))  # fmt: skip
        return Finding(
            severity=Severity.WARNING if worse else Severity.GOOD,
            says=says,
            readings=tuple(line.reading(self.alpha, seed) for line in table),
            advice=f"Collect or augment rows like those of {worse[0]}." if worse else "",
            figures=(figure,),
        )


def _name(shift: object) -> str:
    edit = getattr(shift, "edit", "")
    inner = shift.func if isinstance(shift, partial) else shift
    entry = entry_of(inner) or entry_of(type(inner))
    return edit or (entry.name if entry else getattr(inner, "__name__", repr(inner)))


fluke = register(
    "check", name="fluke", cites="fluke", says="Seventeen linguistic edits, one at a time."
)(TestBench(scores=(), shifts=tuple(Reword(edit=name) for name in FLUKE)))
