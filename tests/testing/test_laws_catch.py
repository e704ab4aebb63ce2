"""Each law catches the bug that it is there for: methods with one planted bug each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.active import Active
from holdfast.attacks.climb import slopes
from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.crown import CROWN
from holdfast.certify.linear.ibp import IBP
from holdfast.compress.magnitude import MagnitudePruning
from holdfast.core.catalog import find
from holdfast.core.certificate import Certificate
from holdfast.core.data import Batches
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Access, Attack, Certifier
from holdfast.core.records import Reading
from holdfast.defend.smoothed import Smoothed
from holdfast.hooks.ema import EMA
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.merge.soup import uniform_soup
from holdfast.objectives.supervised import Supervised
from holdfast.optim.sam import SAM
from holdfast.shifts.noise import gaussian_noise
from holdfast.testing.conform import laws
from holdfast.testing.laws import LawBroken
from holdfast.threats.norms import LInf
from holdfast.threats.number import shown


class Meddling(Attack):
    """PGD with something done to the model, the world or the result."""

    access = Access.GRADIENT

    def __init__(
        self,
        before: Callable[..., object] = lambda model, x: None,
        after: Callable[..., Tensor] = lambda change, model, x: change,
        inner: Attack | None = None,
    ) -> None:
        self.before, self.after, self.inner = before, after, inner or PGD(steps=5)

    def __call__(self, model, x, goal, threat, *, dice=None):
        self.before(model, x)
        return self.after(self.inner(model, x, goal, threat, dice=dice), model, x)


class Batchwise(Attack):
    """Divides every step by the largest gradient in the batch."""

    access = Access.GRADIENT

    def __call__(self, model, x, goal, threat, *, dice=None):
        change = threat.none(x)
        for _ in range(5):
            _, gradient, _ = slopes(model, x, goal, threat, change)
            top = gradient.abs().amax() if gradient.numel() else 1.0
            change = threat.project(x, change + 0.3 * threat.project(x, gradient / top)).detach()
        return change


class Downhill(Attack):
    """Has the sign of the margin wrong: it looks for the safest change."""

    access = Access.GRADIENT

    def __call__(self, model, x, goal, threat, *, dice=None):
        change = threat.none(x)
        for _ in range(5):
            _, gradient, _ = slopes(model, x, goal, threat, change)
            step = threat.steepest(x, change, -gradient)
            change = threat.project(x, change + 0.3 * step).detach()
        return change


class Tireless(Attack):
    """Goes on with rows that it has already broken."""

    access = Access.GRADIENT

    def __call__(self, model, x, goal, threat, *, dice=None):
        active, change = Active(model, x, goal, threat, dice), threat.none(x)
        for _ in range(4):
            _, gradient, _ = slopes(model, x, goal, threat, change)
            change = threat.project(x, change + threat.steepest(x, change, gradient)).detach()
        return change if len(active) else active.best


class Refuser(Attack):
    access = Access.SCORE

    def __call__(self, model, x, goal, threat, *, dice=None):
        raise Unsupported("not today")


class Prying(Attack):
    """Says that scores are enough and asks for gradients all the same."""

    access = Access.SCORE

    def __call__(self, model, x, goal, threat, *, dice=None):
        with torch.enable_grad():
            model(x.clone().requires_grad_())
        return threat.none(x)


def module(model: Any) -> nn.Module:
    return model.model if hasattr(model, "model") else model


def freeze(model: Any, x: Tensor) -> None:
    for p in module(model).parameters():
        p.requires_grad_(False)


def fill_gradients(model: Any, x: Tensor) -> None:
    if len(x):
        model(x)[:, 0].sum().backward()


def global_start(change: Tensor, model: Any, x: Tensor) -> Tensor:
    return change * torch.rand(()).to(change)


def numpy_start(change: Tensor, model: Any, x: Tensor) -> Tensor:
    return change * float(np.random.rand())


def nudge(model: Any, x: Tensor) -> None:
    with torch.no_grad():
        next(iter(module(model).parameters())).add_(1e-9)


ATTACKS = {
    "forgets projection": (
        Meddling(after=lambda c, m, x: 1.5 * c), "law_changes_are_admissible"),
    "reads torch's global draws": (Meddling(after=global_start), "law_same_dice_same_result"),
    "leaves traces in the global draws": (Meddling(after=global_start), "law_leaves_no_trace"),
    "reads NumPy's global draws": (Meddling(after=numpy_start), "law_leaves_no_trace"),
    "reads Python's global draws": (
        Meddling(before=lambda m, x: random.random()), "law_leaves_no_trace"),
    "freezes the model": (Meddling(before=freeze), "law_leaves_no_trace"),
    "fills gradients": (Meddling(before=fill_gradients), "law_leaves_no_trace"),
    "trains the model": (
        Meddling(before=lambda m, x: module(m).train()), "law_leaves_no_trace"),
    "nudges a weight": (Meddling(before=nudge), "law_leaves_no_trace"),
    "leaves a hook": (
        Meddling(before=lambda m, x: module(m).register_forward_hook(lambda *a: None)),
        "law_leaves_no_trace"),
    "changes its inputs": (
        Meddling(before=lambda m, x: x.mul_(0.5)), "law_leaves_no_trace"),
    "depends on the batch": (Batchwise(), "law_rows_do_not_talk"),
    "has the wrong sign": (Downhill(), "law_breaks_linear_worlds"),
    "hands back nothing": (
        Meddling(after=lambda c, m, x: 0 * c), "law_breaks_linear_worlds"),
    "keeps decided rows": (Tireless(), "law_decided_rows_cost_nothing"),
    "refuses everything": (Refuser(), "law_never_worse_than_nothing"),
    "changes the type": (Meddling(after=lambda c, m, x: c.double()), "law_keeps_the_type"),
    "drops a row": (Meddling(after=lambda c, m, x: c[1:]), "law_changes_are_admissible"),
    "fails without rows": (
        Meddling(before=lambda m, x: x[0]), "law_empty_batches_work"),
    "pries": (Prying(), "law_needs_no_more_than_it_says"),
}  # fmt: skip


class Lying(Certifier):
    """CROWN with its answer changed."""

    def __init__(self, share: float = 1.0, change: Any = None, inner: Any = None) -> None:
        self.share, self.change, self.inner = share, change, inner or CROWN()

    def __call__(self, model, x, goal, threat, *, dice=None):
        said = self.inner(model, x, goal, threat.scaled(self.share), dice=dice)
        margin = said.margin if self.change is None else self.change(said.margin)
        return Certificate(model, threat, margin)


class About(Certifier):
    def __call__(self, model, x, goal, threat, *, dice=None):
        said = IBP()(model, x, goal, threat)
        return Certificate(nn.Identity(), threat, said.margin)


class Believes(Certifier):
    """Takes what is not finite for a proof."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        with torch.no_grad():
            clean = goal(model(x))
        return Certificate(model, threat, torch.where(clean.isfinite(), clean + 9, -1.0))


CERTIFIERS = {
    "certifies two thirds and claims all": (Lying(1 / 1.5), "law_no_change_beats_it"),
    "two thirds, against enumeration": (Lying(1 / 1.5), "law_exact_worlds_lie_below"),
    "forgets a constant": (Lying(change=lambda m: m - 0.2), "law_no_change_beats_it"),
    "proves nothing": (Lying(change=lambda m: m + 1e9), "law_proves_something"),
    "looks at other rows": (
        Lying(change=lambda m: torch.maximum(m, m.mean()) if len(m) else m),
        "law_rows_are_independent"),
    "draws": (
        Lying(change=lambda m: m + torch.rand(m.shape)), "law_same_dice_same_result"),
    "leaves traces": (
        Lying(change=lambda m: m + torch.rand(m.shape)), "law_leaves_the_model_as_it_was"),
    "speaks of another model": (About(), "law_names_what_it_is_about"),
    "believes NaN": (Believes(), "law_broken_weights_prove_nothing"),
    "shrinks as the threat grows": (
        Lying(change=lambda m: 3 - m), "law_larger_threats_are_harder"),
    "is loose at radius zero": (
        Lying(change=lambda m: m + 0.1), "law_radius_zero_is_the_clean_margin"),
    "answers in another shape": (
        Lying(change=lambda m: m[:, None]), "law_no_change_beats_it"),
}  # fmt: skip


class Loose(LInf):
    """A ball that forgets the range of inputs."""

    def apply(self, x, change):
        return x + change

    def project(self, x, change):
        return change.clamp(-self.radius, self.radius)


class Shrinking(LInf):
    """A projection that moves what is already inside."""

    def project(self, x, change):
        return 0.9 * super().project(x, change)


class Positional(LInf):
    """Samples that belong to positions in the batch."""

    def sample(self, x, dice):
        g = torch.Generator().manual_seed(dice.seed)
        return self.project(x, torch.randn(x.shape, generator=g, dtype=x.dtype))


class Frozen(LInf):
    """Samples that are the same whatever the dice."""

    def sample(self, x, dice):
        return super().sample(x, dice.keyed(dice.keys).__class__(0, dice.keys))


class Uphill(LInf):
    def steepest(self, x, change, gradient):
        return -super().steepest(x, change, gradient)


class Outgrown(LInf):
    def size(self, x, change):
        return 0.1 + super().size(x, change)


class Misprinted(LInf):
    @property
    def spec(self):
        return f"linf:{shown(round(self.radius, 2))}"


class Detached(LInf):
    def apply(self, x, change):
        return super().apply(x, change.detach())


class Wide(LInf):
    def project(self, x, change):
        return 2 * super().project(x, change)


class Wild(LInf):
    def sample(self, x, dice):
        return 2 * super().sample(x, dice)


class Doubled(LInf):
    def project(self, x, change):
        return super().project(x, change).double()


class Training(LInf):
    def through(self, model, x, change):
        model.train()
        return super().through(model, x, change)


class Talking(LInf):
    def project(self, x, change):
        top = change.abs().amax() if change.numel() else 1.0
        return super().project(x, change / top)


class Dividing(LInf):
    def steepest(self, x, change, gradient):
        return self.radius * gradient / gradient.abs()


class Brightening(LInf):
    def apply(self, x, change):
        return super().apply(x, change + 0.01)


class Offset(LInf):
    def project(self, x, change):
        return super().project(x, change) + (0.01 if self.radius == 0 else 0.0)


class First(LInf):
    def size(self, x, change):
        return super().size(x, change) + 0 * x.flatten(1)[0, 0]


THREATS = {
    "projects too far": (Wide(), "law_projected_is_admissible"),
    "samples too far": (Wild(), "law_samples_are_admissible"),
    "changes the type": (Doubled(), "law_type_is_kept"),
    "trains the model": (Training(), "law_model_is_left_as_found"),
    "projects by the batch": (Talking(), "law_rows_are_independent"),
    "divides by zero": (Dividing(), "law_zero_gradient_is_no_reason_to_fail"),
    "brightens": (Brightening(), "law_no_change_changes_nothing"),
    "moves at radius zero": (Offset(), "law_radius_zero_changes_nothing"),
    "needs a row": (First(), "law_empty_batch_works"),
    "forgets the range": (Loose(radius=0.5), "law_changed_inputs_are_valid"),
    "moves what is inside": (Shrinking(), "law_projecting_twice_is_projecting_once"),
    "draws by position": (Positional(), "law_samples_belong_to_rows"),
    "ignores the seed": (Frozen(), "law_samples_vary"),
    "steps down": (Uphill(), "law_steepest_ascends"),
    "counts nothing as something": (Outgrown(), "law_no_change_has_size_zero"),
    "prints another radius": (Misprinted(radius=8 / 255), "law_reads_what_it_prints"),
    "hides the gradient": (Detached(), "law_gradient_reaches_the_change"),
}  # fmt: skip


def flat(batch, severity, dice=None):
    return gaussian_noise(batch, min(severity, 0.5) if severity < 0.7 else 0.1, dice)


def relabel(batch, severity, dice=None):
    out = gaussian_noise(batch, severity, dice)
    return out._replace(y=out.y + 1)


def always(batch, severity, dice=None):
    return gaussian_noise(batch, 0.1 + 0.9 * severity, dice)


def unclipped(batch, severity, dice=None):
    out = gaussian_noise(batch, severity, dice)
    return out._replace(x=out.x * (1 + severity))


def careless(batch, severity, dice=None):
    if not 0 <= severity <= 1 or not isinstance(batch.x, Tensor):
        return gaussian_noise(batch, severity, dice)
    noise = torch.randn_like(batch.x) * 0.2 * severity
    return batch._replace(x=(batch.x + noise).clamp(0, 1))


SHIFTS = {
    "falls with severity": (flat, "law_change_grows_with_severity"),
    "changes labels": (relabel, "law_only_the_inputs_change"),
    "is never the identity": (always, "law_severity_zero_is_the_identity"),
    "leaves the range": (unclipped, "law_stays_in_range_and_keeps_the_type"),
    "uses global draws": (careless, "law_same_dice_same_images"),
    "draws by position": (careless, "law_rows_do_not_depend_on_the_batch"),
}


class Flipped:
    """The detector that ships, with its scores the other way round."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self.change = change

    def fit(self, model, trusted):
        score = find("detector:energy").thing().fit(model, trusted)
        return lambda x, y=None: self.change(score(x))


DETECTORS = {
    "flipped": (Flipped(lambda s: -s), "law_strange_rows_score_higher"),
    "trusts NaN": (Flipped(lambda s: s.nan_to_num(0.0, 0.0, 0.0)),
                   "law_broken_outputs_are_never_trusted"),
    "ranks within the batch": (Flipped(lambda s: s.argsort().argsort().double()),
                               "law_rows_do_not_depend_on_each_other"),
}  # fmt: skip


def short_sum(states, base=None, **more):
    """An average that divides by one less than there are."""
    made = uniform_soup(states, base, **more)
    n = max(len(states) - 1, 1)
    return {
        k: v * len(states) / n if v.is_floating_point() and len(states) > 1 else v
        for k, v in made.items()
    }


def running(states, base=None, **more):
    """A running average that halves: later states weigh more."""
    made = {k: v.clone() for k, v in states[0].items()}
    for state in states[1:]:
        made = {k: (v + state[k]) / 2 if v.is_floating_point() else v for k, v in made.items()}
    return made


def borrowed(states, base=None, **more):
    return dict(states[0])


def single(states, base=None, **more):
    return {k: v.float() for k, v in uniform_soup(states, base, **more).items()}


MERGES = {
    "divides by one less": (short_sum, "law_equal_states_give_that_state"),
    "weighs later states more": (running, "law_order_does_not_matter"),
    "hands back memory it was given": (borrowed, "law_leaves_its_inputs"),
    "changes the type": (single, "law_form_is_kept"),
}


def averaged(outputs, target):
    return cross_entropy(outputs, target).mean().expand(target.shape)


def counting(outputs, target):
    return cross_entropy(outputs, target.clamp(min=0))


def backwards(outputs, target):
    return -cross_entropy(outputs, target)


LOSSES = {
    "is the mean of the batch": (averaged, "law_rows_are_independent"),
    "counts rows without label": (counting, "law_unlabelled_is_zero"),
    "has the wrong sign": (backwards, "law_the_label_itself_costs_least"),
    "overflows": (lambda o, t: cross_entropy(o, t).exp(), "law_one_finite_number_per_target"),
}


class Explains:
    def __init__(self, change: Callable[[Tensor, nn.Module], Tensor]) -> None:
        self.change = change

    def __call__(self, model, x, readout, *, baseline=None, dice=None):
        found = find("explainer:saliency").thing()(model, x, readout)
        return self.change(found, model)


EXPLAINERS = {
    "scales by the batch": (Explains(lambda a, m: a / a.abs().amax() if a.numel() else a),
                            "law_rows_do_not_depend_on_each_other"),
    "smears": (Explains(lambda a, m: a + 0.1), "law_ignored_values_get_nothing"),
    "explains always the same": (Explains(lambda a, m: torch.ones_like(a)),
                                 "law_depends_on_the_readout"),
    "leaves the model in training": (Explains(lambda a, m: (m.train(not m.training), a)[1]),
                                     "law_leaves_the_model_as_it_was"),
    "draws globally": (Explains(lambda a, m: a * torch.rand(())), "law_same_dice_same_result"),
}  # fmt: skip


def climbing(params):
    made = SAM(params)
    step = made.step

    def wrong(closure):
        kept = [p.detach().clone() for g in made.param_groups for p in g["params"]]
        loss = step(closure)
        with torch.no_grad():
            for p, k in zip((p for g in made.param_groups for p in g["params"]), kept, strict=True):
                p.copy_(2 * k - p)
        return loss

    made.step = wrong
    return made


def sure(outputs: Tensor, y: Tensor) -> Reading:
    """An accuracy whose interval ends above it."""
    value = float((outputs.argmax(1) == y).double().mean())
    return Reading(name="accuracy", value=value, low=value + 0.1, high=1.2, n=len(y))


def first_row(outputs: Tensor, y: Tensor) -> Reading:
    value = float(outputs[0, 0])
    return Reading(name="first", value=value, low=value, high=value, n=len(y))


class Heavy(EMA):
    def share(self, run, batch, losses):
        return torch.full_like(losses, 2.0)


class Averaging(Supervised):
    def __call__(self, run, batch):
        return super().__call__(run, batch).mean().expand(len(batch.index))


def sharing(model, batches=None, *, dice=None):
    made = MagnitudePruning()(model, batches)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.999)
    return made


def dense(model, batches=None, *, dice=None):
    return replace(MagnitudePruning(), density=1.0)(model, batches)


dense.density = 0.5  # type: ignore[attr-defined]


def by_count(n, dice):
    made = find("source:blobs").thing(n, dice)
    return Batches(x=made.x.flip(0), y=made.y.flip(0), classes=made.classes, truth=made.truth)


def with_graph(run, batch, objective):
    losses = objective(run, batch)
    losses.mean().backward(retain_graph=True)
    return losses


def forgetful(run, batch, objective):
    run.model.zero_grad()
    losses = objective(run, batch)
    losses.mean().backward()
    return losses.detach()


def upward(run, batch, objective):
    losses = objective(run, batch)
    (-losses.mean()).backward()
    return losses.detach()


def noisy_measure(outputs: Tensor, y: Tensor) -> Reading:
    value = float(torch.rand(()))
    return Reading(name="noise", value=value, low=0.0, high=1.0, n=len(y))


def certain(outputs: Tensor, y: Tensor) -> Reading:
    return Reading(name="one", value=1.0, low=1.0, high=1.0, n=len(y))


def trains(model: Any, batches: Batches) -> Reading:
    model.eval()
    return Reading(name="mode", value=1.0, low=0.0, high=1.0, n=1)


def fewer(n, dice):
    return find("source:blobs").thing(n, dice).take(slice(0, max(n - 1, 0)))


def unbounded(n, dice):
    made = find("source:blobs").thing(n, dice)
    return replace(made, x=made.x * 2)


def mislabelled(n, dice):
    made = find("source:blobs").thing(n, dice)
    return replace(made, y=made.y.roll(1))


def relabelled(model: Any) -> Any:
    return lambda x: model(x).float()


OTHERS = {
    "losses with a graph": ("backward", with_graph, "law_returns_losses_without_graph"),
    "gradients start anew": ("backward", forgetful, "law_gradients_add_up"),
    "gradients go up": ("backward", upward, "law_the_gradient_goes_down"),
    "global draws": ("measure", noisy_measure, "law_repeatable_and_silent"),
    "sure of nothing": ("measure", certain, "law_says_so_without_rows"),
    "sets the mode": ("measure", trains, "law_leaves_the_model_as_it_was"),
    "a row too few": ("source", fewer, "law_as_many_rows_as_asked_for"),
    "rows outside": ("source", unbounded, "law_rows_lie_in_the_unit_box"),
    "wrong labels": ("source", mislabelled, "law_truth_knows_the_rule"),
    "defence of another type": ("defence", relabelled, "law_returns_a_model"),
    "optimizer goes up": ("optimizer", climbing, "law_minimises_a_bowl"),
    "interval beside its value": ("measure", sure, "law_every_number_has_its_interval"),
    "order of rows": ("measure", first_row, "law_order_of_rows_does_not_matter"),
    "shares of mean two": ("hook", Heavy(), "law_shares_have_mean_one"),
    "losses that talk": ("objective", Averaging(), "law_rows_are_independent"),
    "writes to the given model": ("rewrite", sharing, "law_leaves_the_given_model"),
    "density not reached": ("rewrite", dense, "law_density_is_reached"),
    "rows by count": ("source", by_count, "law_first_rows_do_not_depend_on_how_many"),
    "defence that is never off": (
        "defence", lambda model, *, sigma=0.1: Smoothed(model, sigma + 0.2, 16),
        "law_at_strength_zero_it_is_the_model"),
    "defence that hides gradients": (
        "defence", lambda model: lambda x: model(x).detach().round(), "law_can_be_attacked"),
}  # fmt: skip

PLANTED = [
    *[("attack", n, m, law) for n, (m, law) in ATTACKS.items()],
    *[("certifier", n, m, law) for n, (m, law) in CERTIFIERS.items()],
    *[("threat", n, m, law) for n, (m, law) in THREATS.items()],
    *[("shift", n, m, law) for n, (m, law) in SHIFTS.items()],
    *[("detector", n, m, law) for n, (m, law) in DETECTORS.items()],
    *[("merge", n, m, law) for n, (m, law) in MERGES.items()],
    *[("loss", n, m, law) for n, (m, law) in LOSSES.items()],
    *[("explainer", n, m, law) for n, (m, law) in EXPLAINERS.items()],
    *[(kind, n, m, law) for n, (kind, m, law) in OTHERS.items()],
]


@pytest.mark.parametrize(
    ("kind", "method", "law"),
    [(k, m, law) for k, _, m, law in PLANTED],
    ids=[f"{k} {n}" for k, n, _, _ in PLANTED],
)
def test_a_planted_bug_is_caught(kind: str, method: object, law: str) -> None:
    known = {f.__name__: f for f in laws(kind)}
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()
    try:
        with pytest.raises((LawBroken, IndexError)) as caught:
            known[law](method)
    finally:
        torch.set_rng_state(state[0])
        random.setstate(state[1])
        np.random.set_state(state[2])
    # Crashing is a way to be caught only where the bug is to crash.
    assert caught.type is LawBroken or "empty_batch" in law, repr(caught.value)


def test_the_methods_without_the_bug_obey_the_same_laws() -> None:
    for kind, method, names in (
        ("attack", Meddling(), {law for _, law in ATTACKS.values()}),
        ("threat", LInf(), {law for _, law in THREATS.values()}),
        ("detector", Flipped(lambda s: s), {law for _, law in DETECTORS.values()}),
        ("loss", partial(cross_entropy), {law for _, law in LOSSES.values()}),
        ("explainer", Explains(lambda a, m: a), {law for _, law in EXPLAINERS.values()}),
    ):
        known = {f.__name__: f for f in laws(kind)}
        for name in names - {"law_needs_no_more_than_it_says"}:
            known[name](method)
