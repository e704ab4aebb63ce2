"""Do the experts of a mixture matter, and does its router make it weaker?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from holdfast.checks.given import model_of
from holdfast.checks.rows import sample
from holdfast.core.catalog import register
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Inner, Part, settings
from holdfast.core.kinds import Attack, Check
from holdfast.core.records import Finding, Severity, Subject
from holdfast.measures.model.mixture import mixtures
from holdfast.measures.model.routing import routing_stability


@register("check", name="mixture", cites="moe-robustness")
@settings
class MixtureOfExperts(Check):
    """Routing under attack: what it changes, what the exact experts are worth, who is to blame.

    The same rows are judged with clean and attacked routing exchanged and with other experts of
    the best few; a second attack runs with the clean routing held. A hard choice of experts has
    no gradient: where the attack is stronger once the router stands still, the first one was
    blind and its number is too high.

    Cost: two attacks, the second with two forwards for one; eight forwards per row.

    Args:
        attack: what looks for changes.
        among: random experts are drawn among so many of the best.
        limit: at most so many rows, drawn once from the seed.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Do its experts hold together?"
    section: ClassVar = "attacks"

    attack: Part[Attack] = "attack:pgd"
    among: Count = 4
    limit: Count = 200
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        n = len(subject.batches) if subject.batches is not None else 0
        return 400.0 * min(n, self.limit)

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        model = model_of(subject)
        if not subject.threats:
            raise Unsupported(
                "there is no threat to route under", fix="Name one: --threat linf:8/255."
            )
        mixtures(model)
        found = routing_stability(
            model, sample(subject, self.limit), threat=subject.threats[0],
            attack=self.attack, among=self.among, alpha=self.alpha, seed=subject.seed,
            name="mixture",
        )  # fmt: skip
        share = {word: float(hit.double().mean()) for word, hit in found.right.items()}
        blind = share["held-router"] < share["attacked"] - 0.02
        moved = float((found.overlap < 1).any(1).double().mean())
        says = (
            f"The attack changes the experts of {moved:.0%} of the rows and leaves "
            f"{share['attacked']:.0%} right; with the clean routing of the same inputs "
            f"{share['clean-routing']:.0%} are right, and attacked anew while the routing stands "
            f"still {share['held-router']:.0%}."
        )
        yield Finding(
            severity=Severity.WARNING if blind else Severity.INFO,
            says=says,
            readings=found.readings(),
            advice="The router hides the gradient: attack with --attack square too."
            if blind
            else "",
        )
