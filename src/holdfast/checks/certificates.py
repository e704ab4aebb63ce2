"""What is proved? A ladder of certifiers, checked against an attack on what they proved."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.local import threats
from holdfast.checks.rows import sample
from holdfast.core.catalog import entry_of, register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Batches, Certifier, Check, Threat
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.run.bracket import Bracket, bracket
from holdfast.run.reading import proportion


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

    question: ClassVar = "What is proved?"
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
        if subject.model is None or not isinstance(batches.x, Tensor):
            raise Unsupported("certificates need one tensor of inputs")
        refusals: list[str] = []
        for threat in threats(subject):
            reached: list[tuple[str, Tensor]] = []
            for share in sorted(self.radii):
                try:
                    found = self._bracket(subject, batches, threat.scaled(share))
                except Unsupported as refused:
                    refusals.append(f"{threat.spec}: {refused.says}")
                    break
                reached.append((threat.scaled(share).spec, found.certified))
                yield self._finding(subject, found, threat, share)
            if len(reached) > 1:
                yield self._reach(reached, threat)
        if refusals and len(refusals) == len(subject.threats):
            raise Unsupported("; ".join(refusals), fix="Audit a net of supported layers.")
        for reason in refusals:
            yield Finding(severity=Severity.INFO, says=f"Nothing is proved for {reason}.")

    def _bracket(self, subject: Subject, batches: Batches, threat: Threat) -> Bracket:
        """What is proved and what breaks within one threat."""
        model, x = subject.model, batches.x
        if model is None or not isinstance(x, Tensor):
            raise Unsupported("certificates need one tensor of inputs")
        ask = partial(
            bracket,
            model,
            x,
            Untargeted(batches.y),
            threat,
            certifiers=self.certifiers,
            dice=Dice(subject.seed, batches.index, f"certificates/{threat.spec}"),
        )
        try:
            found = ask(attacks=(self.attack,))
        except (
            Unsupported
        ) as refusal:  # what the certifiers say tells more than what the attack says
            alone = ask(attacks=())
            if alone.certificates:
                raise
            raise Unsupported("; ".join(alone.notes), fix=refusal.fix) from None
        if not found.certificates and not bool(found.broken.all()):
            raise Unsupported("; ".join(found.notes))
        return found

    def _finding(self, subject: Subject, found: Bracket, whole: Threat, share: float) -> Finding:
        """One radius; only the whole radius of a threat gives `certificates.proved`."""
        threat = whole.scaled(share)
        name = "certificates.proved" if share == 1 else "certificates.proved_within"
        spec = whole.spec if share == 1 else threat.spec
        proved, n = int(found.certified.sum()), len(found.certified)
        reading = proportion(
            f"{name}@{spec}",
            proved,
            n,
            bound="lower",
            threat=spec,
            seed=subject.seed,
            alpha=self.alpha,
        )
        open_rows = n - proved - int(found.broken.sum())
        says = (
            f"On {proved} of {n} rows no change within {threat.spec} can win: proved. "
            f"{int(found.broken.sum())} rows break, {open_rows} stay open."
        )
        left = n - int((found.attacked.clean >= 0).sum())
        rungs: list[dict[str, Cell]] = []
        for method, said in zip(_names(self.certifiers), found.certificates, strict=False):
            rungs.append({"method": method, "rows proved": int(said.proved.sum()), "of": left})
            left -= int(said.proved.sum())
        rungs.append(
            {"method": "witnesses attacked", "rows proved": None, "of": int(found.witness.sum())}
        )
        figure = Figure(
            name=f"ladder-{threat.spec}",
            kind="table",
            title=f"Ladder of proofs, {threat.spec}",
            says=says,
            rows=tuple(rungs),
        )
        unsure = proportion(
            f"certificates.open@{spec}", open_rows, n, better="lower", threat=spec,
            seed=subject.seed, alpha=self.alpha,
        )  # fmt: skip
        return Finding(
            severity=Severity.GOOD if proved else Severity.WARNING,
            says=says,
            readings=(reading, unsure) if share == 1 else (reading,),
            figures=(figure,),
        )

    def _reach(self, reached: list[tuple[str, Tensor]], whole: Threat) -> Finding:
        """How far rows are proved: each counted at the largest radius that holds for it."""
        n, last = len(reached[0][1]), torch.zeros_like(reached[0][1])
        rows: list[dict[str, Cell]] = []
        for spec, proved in reversed(reached):
            count = int((proved & ~last).sum())
            rows.append({"label": spec, "value": count / max(n, 1), "n": n})
            last = last | proved
        rows.append({"label": "not proved", "value": int((~last).sum()) / max(n, 1), "n": n})
        says = "The largest of these radii at which each row is proved, as shares of the rows."
        figure = Figure(
            name=f"reach-{whole.spec}", kind="bars", title=f"How far rows are proved, {whole.spec}",
            says=says, rows=tuple(rows), x="share of rows",
        )  # fmt: skip
        return Finding(severity=Severity.INFO, says=says, figures=(figure,))


def _names(parts: tuple[Part[Certifier], ...]) -> list[str]:
    known = (part if isinstance(part, str) else entry_of(type(part)) for part in parts)
    return [k if isinstance(k, str) else k.key if k else "certifier" for k in known]
