"""What is proved? A ladder of certifiers, checked against an attack on what they proved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from holdfast.checks.given import model_of
from holdfast.checks.ladder import rungs
from holdfast.checks.local import threats
from holdfast.checks.rows import sample
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Attack, Batches, Certifier, Check, Threat
from holdfast.core.records import Cell, Figure, Finding, Reading, Severity, Subject
from holdfast.run.bracket import Bracket, bracket
from holdfast.run.reading import proportion
from holdfast.run.watch import listener


@register("check", says="Rows on which no admissible change can win, proved by bounds.")
@settings
class Certificates(Check):
    """Rows on which no admissible change can win, proved by a ladder of bounds.

    A row counts as proved if any rung proves it, and goes no further up the ladder. What is not
    proved is attacked, and a seeded share of the proved rows too: an attack that wins there
    aborts the audit with both witnesses. What is neither proved nor broken is stated.

    Cost: about two passes per row and layer for interval bounds, one per row and output way
    and layer for linear bounds, and the witness attack.

    Args:
        certifiers: rungs, from cheap to tight.
        attack: tries to break what was proved.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
        radii: radii tried, as shares of the radius of each threat of the audit; the whole
            radius gives `certificates.proved@...`, others `certificates.proved_within@...`.
    """

    question: ClassVar = "What is proved of the model itself?"
    section: ClassVar = "certificates"

    certifiers: tuple[Part[Certifier], ...] = ("certifier:ibp", "certifier:crown")
    attack: Part[Attack] = "attack:pgd"
    limit: Count = 1000
    alpha: Inner = 0.05
    radii: tuple[float, ...] = (0.25, 1.0)

    def cost(self, subject: Subject) -> float:
        n = min(len(subject.batches), self.limit) if subject.batches is not None else 0
        return 250.0 * n * len(subject.threats) * len(self.radii)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        batches = sample(subject, self.limit)
        one_tensor(batches.x, "certificates")
        refusals: list[str] = []
        notes: list[str] = []
        for threat in threats(subject):
            reached: list[tuple[float, Bracket]] = []
            for share in sorted(self.radii):
                try:
                    found = self._bracket(subject, batches, threat.scaled(share))
                except Unsupported as refused:
                    refusals.append(f"{threat.spec}: {refused.says}")
                    break
                reached.append((share, found))
            if reached:
                notes += reached[-1][1].notes
                yield self._finding(subject, threat, reached)
        if refusals and len(refusals) == len(subject.threats):
            raise Unsupported("; ".join(refusals), fix="Audit a net of supported layers.")
        for note in dict.fromkeys(notes):
            yield Finding(severity=Severity.INFO, says=f"Not every method could answer. {note}.")
        for reason in refusals:
            yield Finding(severity=Severity.INFO, says=f"Nothing is proved for {reason}.")

    def _bracket(self, subject: Subject, batches: Batches, threat: Threat) -> Bracket:
        """What is proved and what breaks within one threat."""
        model, x = model_of(subject), one_tensor(batches.x, "certificates")
        ask = partial(
            bracket,
            model,
            x,
            Untargeted(batches.y),
            threat,
            certifiers=self.certifiers,
            told=listener(),
            dice=Dice(subject.seed, batches.index, f"certificates/{threat.spec}"),
        )
        try:
            found = ask(attacks=(self.attack,))
        except Unsupported as refusal:  # the certifiers say more about it than the attack
            alone = ask(attacks=())
            if alone.certificates:
                raise
            raise Unsupported("; ".join(alone.notes), fix=refusal.fix) from None
        if not found.certificates and not bool(found.broken.all()):
            raise Unsupported("; ".join(found.notes), fix="Audit a net of supported layers.")
        return found

    def _finding(
        self, subject: Subject, whole: Threat, reached: Sequence[tuple[float, Bracket]]
    ) -> Finding:
        """All radii of one threat: what is proved in words, in numbers, and as a ladder."""
        readings: list[Reading] = []
        rows: list[dict[str, Cell]] = []
        for share, found in reached:
            spec = whole.spec if share == 1 else whole.scaled(share).spec
            readings += self._readings(subject, found, spec, whole=share == 1)
            rows += rungs(found, self.certifiers, self.attack, spec)
        share, found = next((r for r in reached if r[0] == 1), reached[-1])
        readings.sort(key=lambda r: r.threat != whole.spec)  # the number of the gate first
        says = _says(found, whole.spec if share == 1 else whole.scaled(share).spec)
        figure = Figure(
            name=f"proofs-{whole.spec}", kind="table", says=says,
            title=f"How far rows are proved, {whole.spec}", rows=tuple(rows),
        )  # fmt: skip
        good = bool(found.certified.any())
        return Finding(
            severity=Severity.GOOD if good else Severity.WARNING,
            says=says,
            readings=tuple(readings),
            figures=(figure,),
        )

    def _readings(
        self, subject: Subject, found: Bracket, spec: str, *, whole: bool
    ) -> Iterator[Reading]:
        """One radius; only the whole radius of a threat gives `certificates.proved`."""
        proved, n = int(found.certified.sum()), len(found.certified)
        count = partial(proportion, n=n, threat=spec, seed=subject.seed, alpha=self.alpha)
        name = "certificates.proved" if whole else "certificates.proved_within"
        yield count(f"{name}@{spec}", proved, bound="lower")
        if whole:
            unsure = n - proved - int(found.broken.sum())
            yield count(f"certificates.open@{spec}", unsure, better="lower")


def _says(found: Bracket, spec: str) -> str:
    """One radius in words."""
    n, proved, broken = (len(found.certified), int(found.certified.sum()), int(found.broken.sum()))
    witnesses, turned = int(found.witness.sum()), int((found.witness & found.broken).sum())
    says = f"Within {spec}, {proved} of {n} rows are proved and {n - proved - broken} stay open."
    tried = f" An attack on {witnesses} of the proved rows turned {turned or 'none'}."
    return says + (tried if witnesses else "")
