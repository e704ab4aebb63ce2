"""Transfer attacks: climb models that one has, to break a model that is only judged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.climb import Climb, slopes
from holdfast.attacks.look_ahead import Path, ahead, kept
from holdfast.attacks.surrogates import fused, read, still, through
from holdfast.attacks.views import Copy, blurred, partners
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import (
    Count,
    Ingredient,
    Inner,
    Natural,
    NonNegative,
    Positive,
    Share,
    ingredient,
    settings,
)
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.ops.batch import fit


@register(
    "attack",
    cites="transfer-mifgsm",
    name="mi-fgsm",
    says="Momentum ascent of surrogate models; the victim is only judged.",
)
@settings
class Transfer(Attack):
    """Gradient ascent with momentum on surrogates, by estimates that do not overfit them.

    Each step takes a gradient, scales it to a mean absolute value of 1 per row, adds it to the
    decayed sum of the earlier ones, and moves along the threat's steepest direction of the sum.
    The gradient may be taken ahead of the point (NI), averaged over darker copies (SI) and over
    mixtures with other images (Admix), seen through random shrinking (DI), and smoothed in space
    (TI). Properties: the model under attack gets no pass at all; with every extra at its neutral
    value the steps are those of the basic iterative method, whatever scales the loss; as a white
    box, a point ahead that wins inside the threat is kept.

    Args:
        surrogates: models whose gradients are climbed; the model under attack itself, then as
            a white box whose broken rows leave, where there are none.
        steps: gradient steps.
        travel: length of the whole path in radii.
        momentum: share of the accumulated gradient that is carried on.
        ahead: take the gradient where the momentum is about to lead (NI).
        scales: copies x, x/2, x/4 ... whose gradients are averaged (SI).
        mixed: images of other classes that are mixed in, each in a copy of its own (Admix).
        pool: `(n, ...)` inputs to mix in.
        mixing: weight of an image that is mixed in.
        diversity: chance that a row is shrunk before each pass (DI).
        least: smallest share of a side that shrinking leaves.
        blur: window over which gradients are smoothed, in pixels, odd; 0 for none (TI).
        spread: standard deviation of that window in pixels.
        fuse: several surrogates as one: mean `logits`, mean `probs`, summed `loss`, or `one`
            of them per step, drawn at random.
        climb: what is climbed, as in `attack:pgd`.

    Cost: `steps * scales * max(mixed, 1)` forwards and backwards per row and surrogate; on the
    model under attack none, and without surrogates `steps + 1` forwards more.

    Raises:
        Unsupported: if a surrogate cannot read the inputs, images are to be mixed in and there
            is no pool, or flat rows are to be shrunk or smoothed.

    Unlike the paper: surrogates weigh alike; shrinking is drawn per row, not per batch; images
    are mixed in from a pool, so that rows stay independent, and another class is one that the
    surrogates answer otherwise; a look ahead stays within the range of inputs; `soft` climbs the
    logarithm of the odds: the cross-entropy's direction, with the copies weighed more evenly.
    """

    surrogates: Ingredient[Sequence[Model]] = ingredient()
    steps: Count = 10
    travel: Positive = 1.0
    momentum: NonNegative = 1.0
    ahead: bool = False
    scales: Count = 1
    mixed: Natural = 0
    pool: Ingredient[Tensor] = ingredient()
    mixing: Inner = 0.2
    diversity: Share = 0.0
    least: Inner = 0.9
    blur: Natural = 0
    spread: Positive = 3.0
    fuse: Literal["logits", "probs", "loss", "one"] = "logits"
    climb: Climb = "soft"

    @property
    def access(self) -> Access:  # type: ignore[override]
        """Nothing but the judge's verdict with surrogates, gradients without."""
        return Access.DECISION if self.surrogates else Access.GRADIENT

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active, own = Active(model, x, goal, threat, dice), not self.surrogates
        none = threat.none(x).detach()
        if not len(x):
            return none
        path = Path(none, torch.zeros_like(none), none, none, none.new_zeros(len(x), 0))
        with still(self.surrogates or ()):
            sources, apart = self._sources(model, x)
            if own:  # rows that are lost already cost no gradient
                path.keep(active.see(none, active.margins(none)))
            for _ in range(self.steps):
                if len(active):
                    self._look(active, sources, apart, path)
                if not len(active):
                    break
                gradient = blurred(path.slope, self.blur, self.spread)
                scale = gradient.flatten(1).abs().mean(1).clamp(min=1e-30)
                path.memory = self.momentum * path.memory + gradient / fit(scale, gradient)
                step = active.threat.steepest(active.x, path.change, path.memory)
                moved = path.change.add(step, alpha=self.travel / self.steps)
                path.change = active.threat.project(active.x, moved).detach()
                if own:
                    path.keep(active.see(path.change, active.margins(path.change)))
        return active.best if own else path.change

    def _sources(self, model: Model, x: Tensor) -> tuple[list[Model], Tensor | None]:
        """What is climbed, and `(B, n)`: images of the pool that are of another class."""
        if not self.surrogates:
            sources = [model]
        else:
            sources = list(self.surrogates)
            read(sources, x[:1])
        if not self.mixed:
            return sources, None
        if self.pool is None or self.pool.shape[1:] != x.shape[1:]:
            raise Unsupported(
                "images are to be mixed in, and the pool holds none of the inputs' form",
                fix="Give pool=x of some other data, or mixed=0.",
            )
        with torch.no_grad():
            own, other = (fused(sources, self.fuse)(z).flatten(1).argmax(1) for z in (x, self.pool))
        return sources, own[:, None] != other

    def _look(self, active: Active, sources: list[Model], apart: Tensor | None, path: Path) -> None:
        """The estimate of a step: the sum over copies and, where losses are fused, models."""
        models = sources
        if self.fuse == "one" and len(sources) > 1:
            models = [sources[int(active.dice.one().integers(len(sources)))]]
        parts = models if self.fuse == "loss" else [fused(models, self.fuse)]
        path.point, path.slope = path.change, torch.zeros_like(path.change)
        if self.ahead:
            reach = self.momentum * self.travel / self.steps
            path.point = ahead(active.threat, active.x, path.change, path.memory, reach)
        path.mixed = path.change.new_zeros(len(active), 0)
        if apart is not None and self.pool is not None:
            pool = self.pool.to(active.x)
            drawn = partners(pool, apart[active.index], self.mixed, active.dice)
            path.mixed = self.mixing * drawn
        copies = product(range(max(path.mixed.shape[1], 1)), range(self.scales), parts)
        for number, scale, part in copies:
            if not len(active):
                return
            extra = path.mixed[:, number] if path.mixed.shape[1] else None
            copy = Copy(extra, 0.5**scale, self.diversity, self.least, active.dice)
            margin, slope, _ = slopes(
                through(part, copy), active.x, active.goal, active.threat, path.point,
                climb=self.climb,
            )  # fmt: skip
            path.slope = path.slope + slope
            if self.ahead and not self.surrogates:
                path.keep(kept(active, path.point, margin, copy.plain))


NI_FGSM = register(
    "attack", cites="transfer-mifgsm", name="ni-fgsm", says="MI-FGSM that looks ahead."
)(Transfer(ahead=True))
DIM = register(
    "attack", cites="transfer-mifgsm", name="dim", says="MI-FGSM through randomly shrunk inputs."
)(Transfer(diversity=0.5))
TIM = register(
    "attack", cites="transfer-mifgsm", name="tim", says="MI-FGSM with smoothed gradients."
)(Transfer(blur=7))
NI_SI_TI_DIM = register(
    "attack",
    cites="transfer-mifgsm",
    name="ni-si-ti-dim",
    says="Looks ahead, at darker and shrunk copies, with smoothed gradients.",
)(Transfer(ahead=True, scales=5, diversity=0.5, blur=7))
