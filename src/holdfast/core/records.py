"""What the harness hands over: readings, findings, outcomes, verdicts, subjects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.core.data import Batches
    from holdfast.core.kinds import Model, Outputs, Threat, Writer

Bound = Literal["upper", "lower", "estimate", "exact"]
Better = Literal["higher", "lower", "neither"]
Cell = float | int | str | bool | None


class Severity(IntEnum):
    """How much a finding should worry the reader."""

    INFO = 0
    GOOD = 1
    WARNING = 2
    FAILURE = 3


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One number that never walks alone.

    Args:
        name: dotted identity, with the threat behind an @ where there is one
            (`attacks.worst@linf:8/255`).
        value: the number itself; NaN where it could not be determined.
        low: lower end of the interval (equal to `value` where it is exact).
        high: upper end of the interval.
        n: how many rows, samples or draws it rests on.
        bound: an attack gives an `upper` bound of robustness, a proof a `lower` one; samples
            give an `estimate`; `exact` holds for the rows at hand.
        unit: `share`, `nats`, `radius`, `count`, `pixels`, `s` ... (plain text).
        better: the direction in which the model gets better.
        threat: the threat in the common grammar, empty without one.
        seed: the seed of all draws behind it.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    bound: Bound = "estimate"
    unit: str = "share"
    better: Better = "higher"
    threat: str = ""
    seed: int = 0
    flags: tuple[str, ...] = ()  # why the number deserves less trust; printed with it always


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Data of one chart; the report decides how it is drawn.

    Args:
        name: identity within the report, used as anchor.
        kind: which drawing; columns of `rows` by kind:
            envelope (radius, accuracy, bound, low, high, norm), heat (row, column, value[, low,
            high, n, group]), bars (label, value, low, high, n[; before, before low, before high,
            against: drawn as dumbbells; limit, p, moved: drawn against their limits]), lines
            (x, y, series[, low, high; panel, area: drawn as small multiples]), reliability
            (confidence, accuracy, count[, low, high, series]), histogram (left, right, count[,
            series]), gallery (title, caption, image, changed, difference: each a data: URI of a
            PNG), table (any).
        title: a few words.
        says: the finding as one sentence; it becomes the caption.
        rows: plain values only, at most a few hundred.
        x: title of the horizontal axis with its unit.
        y: title of the vertical axis with its unit.
    """

    name: str
    kind: Literal[
        "envelope", "heat", "bars", "lines", "reliability", "histogram", "gallery", "table"
    ]
    title: str
    says: str
    rows: tuple[Mapping[str, Cell], ...]
    x: str = ""
    y: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a check found out, in plain words, with its numbers.

    Args:
        severity: how much it should worry the reader.
        says: one sentence.
        readings: the numbers behind it.
        advice: one action, if possible a command; empty if there is none.
        rows: positions in the data set that show it (worst first).
        figures: charts of it.
    """

    severity: Severity
    says: str
    readings: tuple[Reading, ...] = ()
    advice: str = ""
    rows: tuple[int, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one check: findings, an error, or the reason why it did not run.

    Args:
        check: catalogue key, such as `check:worst-case`.
        question, section: what the check asks, in words, and where in the report it stands.
        findings: what it found.
        seconds: what it took.
        error, skipped: why it broke off, or did not run; empty if neither.
        cell: digest of everything that the outcome depends on.
    """

    check: str  # catalogue key, e.g. "check:worst-case"
    question: str = ""
    section: str = ""
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    error: str = ""
    skipped: str = ""
    cell: str = ""  # digest of everything the outcome depends on

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All readings of all findings, in order."""
        return tuple(r for f in self.findings for r in f.readings)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All outcomes of a suite on one subject, with what identifies both.

    Args:
        suite: its name.
        subject: plain values: name, digests, shapes, counts, classes, threats.
        outcomes: one per check, in the order of the suite.
        seed: from which every draw of the audit is derived.
    """

    suite: str
    subject: Mapping[str, Any]  # plain values: name, digests, shapes, counts, classes, threats
    outcomes: tuple[Outcome, ...]
    seed: int = 0

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All readings, in order of the outcomes."""
        return tuple(r for o in self.outcomes for r in o.readings)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a guarded model answers: outputs, whether it stands by them, and its set of answers."""

    outputs: Outputs
    accepted: Tensor  # (B,) bool
    set: Tensor | None = None  # (B, K) bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What a check is asked about; `Check.needs` names the fields that must not be None.

    Args:
        model: the function under test: inputs -> logits first.
        batches: the rows every number is measured on.
        trusted: rows for fitting detectors, temperatures and guards; disjoint from `batches`.
        writer: a text generator behind an API.
        env: an environment for agents.
        others: further models by role (`baseline`, `teacher` ...).
        make: builds the architecture anew with fresh weights, from a seed.
        threats: the threats of the audit, the first is the one the verdict names.
        seed: the seed from which every draw of the audit is derived.
        about: plain facts for the report (name, digest, classes, units ...).
    """

    model: Model | None = None
    batches: Batches | None = None
    trusted: Batches | None = None
    writer: Writer | None = None
    env: Any = None
    others: Mapping[str, Model] = field(default_factory=dict)
    make: Callable[[int], Model] | None = None
    threats: tuple[Threat, ...] = ()
    seed: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)
