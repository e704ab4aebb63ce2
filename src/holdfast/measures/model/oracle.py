"""A model on inputs that are changed as far as oracles still see the same in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.inputs import one_tensor
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet
from holdfast.core.ranges import inside
from holdfast.core.records import Reading
from holdfast.measures.model.push import Codec, Rule, push
from holdfast.run.forward import correct
from holdfast.run.reading import average, proportion


@dataclass(frozen=True, eq=False)
class OracleRelative:
    """Accuracy on original and pushed inputs, and their ratio.

    Args:
        before: `(N,)` bool, right on the original, of the rows that the oracles get right.
        after: `(N,)` bool, right on the pushed one.
        moved: `(N,)` Euclidean length of the change.
        steps: `(N,)` steps that the oracles have accepted.
        dropped: rows that the oracles get wrong, which count nowhere.
        single: the score under each oracle alone, where there are several.
        name: prefix of the readings.
        alpha: of the intervals.
        seed: of the bootstrap.
    """

    before: Tensor
    after: Tensor
    moved: Tensor
    steps: Tensor
    dropped: int
    single: tuple[float, ...]
    name: str
    alpha: float
    seed: int

    @property
    def score(self) -> float:
        """100 times accuracy after over accuracy before."""
        return 100 * float(self.after.sum()) / max(float(self.before.sum()), 1e-300)

    def readings(self) -> tuple[Reading, ...]:
        """Score, both accuracies, mean change and steps, and the spread over single oracles."""
        n = len(self.before)
        pairs = torch.stack([self.before, self.after], 1).double()
        generator = Dice.of(0, self.seed).generator(self.name)
        sums = torch.stack([
            pairs[torch.randint(n, (n,), generator=generator)].sum(0) for _ in range(500)
        ])  # fmt: skip
        again = 100 * sums[:, 1] / sums[:, 0].clamp(min=1)
        ends = again.quantile(torch.tensor([self.alpha / 2, 1 - self.alpha / 2]).double()).tolist()
        score = self.score
        flags: tuple[str, ...] = ()
        if self.dropped:
            flags = (f"{self.dropped} rows left out that the oracles get wrong",)
        found = [
            Reading(name=self.name, value=score, low=min(score, ends[0]),
                    high=max(score, ends[1]), n=n, unit="percent of the clean accuracy",
                    seed=self.seed, flags=flags),
            proportion(f"{self.name}.before", int(self.before.sum()), n, alpha=self.alpha),
            proportion(f"{self.name}.after", int(self.after.sum()), n, alpha=self.alpha),
            average(f"{self.name}.moved", self.moved, better="neither",
                    unit="Euclidean change of the input", alpha=self.alpha, seed=self.seed),
            average(f"{self.name}.steps", self.steps.double(), better="neither", unit="steps",
                    alpha=self.alpha, seed=self.seed),
        ]  # fmt: skip
        if self.single:
            spread = max(self.single) - min(self.single)
            found.append(Reading(name=f"{self.name}.spread", value=spread, low=spread, high=spread,
                                 n=len(self.single), unit="percent of the clean accuracy",
                                 bound="exact", better="neither"))  # fmt: skip
        return tuple(found)


@register("measure", cites="fmr")
def oracle_relative(
    models: Sequence[Model],
    batches: Batches,
    *,
    codec: Codec | None = None,
    steps: int = 50,
    step_size: float = 1e-3,
    rule: Rule = "majority",
    share: float = 1.0,
    alpha: float = 0.05,
    seed: int = 0,
    name: str = "oracle-relative",
) -> OracleRelative:
    """Accuracy that is left on inputs pushed as far as oracles still see the label, in percent.

    Inputs move through a generator in the direction that hurts the model under test, as long as
    the oracles agree with the label. 100: the model is confused no sooner than its oracles, and
    an oracle that is judged by itself gets exactly that. The score is one of model and oracles
    together; with several of them it is also given its spread over each one alone.

    Args:
        models: the model under test, then its oracles.
        batches: labelled rows of one tensor of inputs in [0, 1].
        codec: the generator, with `encode` and `decode`; the inputs themselves without one.
        steps: the budget.
        step_size: times the gradient of the cross-entropy in the latent.
        rule: how several oracles agree: most of them, all, or the mean of their probabilities.
        share: of each row's latents that may change.
        alpha: intervals cover with probability at least (shares) or about 1 - alpha.
        seed: of the bootstrap.
        name: of the score and prefix of the other readings.

    Raises:
        ShapeError: unless there is at least one oracle.
        ConfigError: for a negative number of steps or a share outside (0, 1].
        Unsupported: if no labelled row is right for the oracles and for the model.

    Cost: see `push`; with several oracles once for all and once for each.

    Unlike the paper, whose step size and selection of latents are not known exactly here: both
    are settings.
    """
    if len(models) < 2:
        raise ShapeError(
            f"{name}: needs a model and at least one oracle, got {len(models)}",
            fix="Give a list of two models or more, the one that is asked about first.",
        )
    inside("[0, inf]", name, steps=steps)
    inside("(0, 1]", name, share=share)
    rows = batches.take((batches.y != UNLABELLED).nonzero().flatten())
    model, *oracles = models

    def ask(judges: Sequence[Model]) -> tuple[Tensor, ...]:
        parts = []
        for batch in rows:
            x = one_tensor(batch.x, name)
            pushed = push(model, judges, x, batch.y, codec=codec, steps=steps,
                          step_size=step_size, rule=rule, share=share)  # fmt: skip
            kept = pushed.kept
            with quiet(model), torch.no_grad():
                before = correct(logits(model(x)), batch.y)[kept]
                after = correct(logits(model(pushed.x)), batch.y)[kept]
            moved = (pushed.x - x).flatten(1).norm(dim=1)[kept].double()
            parts.append([v.cpu() for v in (before, after, moved, pushed.steps[kept])])
        return tuple(torch.cat(v) for v in zip(*parts, strict=True))

    found = ask(oracles) if len(rows) else ()
    if not found or not int(found[0].sum()):
        raise Unsupported(
            f"{name}: no row is right for the oracles and for the model",
            fix="Give rows that every model gets right, or rule='majority' with more oracles.",
        )
    single = []
    for oracle in oracles if len(oracles) > 1 else ():
        alone = ask([oracle])
        single.append(100 * float(alone[1].sum()) / max(float(alone[0].sum()), 1.0))
    before, after, moved, used = found
    return OracleRelative(
        before, after, moved, used, len(rows) - len(found[0]), tuple(single), name, alpha, seed
    )
