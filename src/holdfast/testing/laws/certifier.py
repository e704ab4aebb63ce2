"""Laws of certifiers: what is proved is true, and only what is known is proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from holdfast.attacks.all_edits import AllEdits
from holdfast.attacks.pgd import PGD
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.defend.smoothed import smoothed
from holdfast.run.search import search
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.certifier_scenes import KEYS, World, ask, forms, same, scenes
from holdfast.testing.traces import no_trace, stopped_anywhere
from holdfast.testing.worlds import TinyReLU, three_class
from holdfast.threats.norms import L1, L2, LInf


def law_no_change_beats_it(certifier: Certifier) -> None:
    """No sampled change and none that gradient ascent finds has a margin above the bound."""
    for world, model, threat in scenes(certifier):
        found = ask(certifier, world, model, threat)
        if found.confidence < 1:
            continue  # speaks of the limit of infinitely many samples
        discrete = getattr(threat, "discrete", False)
        attack = AllEdits() if discrete else PGD(steps=10)
        margins = [search(attack, model, world.x, world.goal, threat).margin]
        with torch.no_grad():
            for stream in range(10):
                change = threat.sample(world.x, Dice(stream, KEYS))
                margins.append(world.goal(threat.through(model, world.x, change)))
        best = torch.stack([m.double() for m in margins]).amax(0)
        if bool((best > found.margin).any()):
            raise LawBroken(
                f"{certifier!r} on {threat.spec}: an admissible change exceeds the bound by "
                f"{float((best - found.margin).max()):.3g}"
            )


def law_exact_worlds_lie_below(certifier: Certifier) -> None:
    """On a net small enough to enumerate, the exact worst margin does not exceed the bound."""
    world = TinyReLU.make()
    for threat in (LInf(radius=0.05), L2(radius=0.1), L1(radius=0.1)):
        try:
            found = certifier(world.model, world.x, world.goal, threat)
        except Unsupported:
            continue
        if bool((world.worst(threat.radius, threat.order) > found.margin).any()):
            raise LawBroken(f"{certifier!r} on {threat.spec}: a bound below the exact worst margin")


def law_larger_threats_are_harder(certifier: Certifier) -> None:
    """A larger radius never has a smaller bound."""
    for world, model, threat in scenes(certifier):
        small, large = (ask(certifier, world, model, threat.scaled(f)).margin for f in (0.5, 1.0))
        if bool((small > large + 1e-9).any()):
            raise LawBroken(f"{certifier!r}: the bound falls as {threat.spec} grows")


def law_proves_something(certifier: Certifier) -> None:
    """Somewhere, at a small radius, a row is proved; a method that never proves is useless."""
    for world, model, threat in scenes(certifier):
        if bool(ask(certifier, world, model, threat.scaled(0.01)).proved.any()):
            return
    raise LawBroken(f"{certifier!r} proves nothing anywhere, even at tiny radii")


def law_radius_zero_is_the_clean_margin(certifier: Certifier) -> None:
    """Without room for a change the bound is at least the clean margin, and a proof's equals it."""
    for world, model, threat in scenes(certifier):
        found = ask(certifier, world, model, threat.scaled(0.0))
        if found.confidence < 1:
            continue
        with torch.no_grad():
            clean = world.goal(model(world.x))
        same(found.margin, clean, f"{certifier!r}: radius 0 differs from the clean margin", 1e-6)


def law_broken_weights_prove_nothing(certifier: Certifier) -> None:
    """Where weights that are not finite reach the outputs nothing is proved."""
    for bad in (float("nan"), float("inf"), -float("inf")):
        for world in (three_class(rows=6), TinyReLU.make(rows=6)):
            layer: Any = next(m for m in world.model.modules() if isinstance(m, nn.Linear))
            with torch.no_grad():
                layer.weight[0, 0] = bad
            for model, threat in (
                (world.model, LInf(radius=0.01)),
                (smoothed(world.model, sigma=0.1), L2(radius=0.01)),
            ):
                try:
                    found = ask(certifier, world, model, threat)
                except Unsupported:
                    continue
                with torch.no_grad():
                    broken = ~world.model(world.x).isfinite().all(1)
                if bool((found.proved & broken).any()):
                    raise LawBroken(f"{certifier!r} proves a model with weight {bad}")


def law_same_dice_same_result(certifier: Certifier) -> None:
    """The same dice give the same bounds, bit by bit."""
    for world, model, threat in scenes(certifier):
        a, b = (ask(certifier, world, model, threat).margin for _ in range(2))
        if not torch.equal(a, b):
            raise LawBroken(f"{certifier!r} answers differently the second time")


def law_rows_are_independent(certifier: Certifier) -> None:
    """A row's bound does not depend on the rows beside it, nor on their order."""
    order = torch.tensor([4, 0, 2])
    for world, model, threat in scenes(certifier):
        whole = ask(certifier, world, model, threat).margin[order]
        part = certifier(
            model, world.x[order], world.goal.take(order), threat, dice=Dice(1, KEYS[order])
        )
        same(part.margin, whole, f"{certifier!r}: rows depend on each other")


def law_an_empty_batch_works(certifier: Certifier) -> None:
    """No rows in, no rows out."""
    for world, model, threat in scenes(certifier):
        none = slice(0, 0)
        found = certifier(model, world.x[none], world.goal.take(none), threat)
        if found.margin.shape != (0,) or found.proved.shape != (0,):
            raise LawBroken(f"{certifier!r}: an empty batch gives {tuple(found.margin.shape)}")


def law_leaves_the_model_as_it_was(certifier: Certifier) -> None:
    """Weights, gradients, modes, hooks and global random states are untouched, stopped or not."""
    for world, model, threat in scenes(certifier):
        with no_trace(certifier, world.model):
            ask(certifier, world, model, threat)
        if not isinstance(threat, LInf | L2):
            continue
        form = next(f for f in forms(certifier) if type(f(world.model)) is type(model))

        def asked(
            fragile: nn.Module,
            world: World = world,
            threat: Threat = threat,
            form: Callable[[nn.Module], Model] = form,
        ) -> Certificate:
            whole = form(fragile)
            return ask(certifier, world, whole, threat)

        stopped_anywhere(certifier, world.model, asked, (1,))


def law_names_what_it_is_about(certifier: Certifier) -> None:
    """The certificate names the very model and threat that were asked about."""
    for world, model, threat in scenes(certifier):
        found = ask(certifier, world, model, threat)
        if found.about is not model or found.threat is not threat:
            raise LawBroken(f"{certifier!r} speaks of another model or threat")
        if not (0 < found.confidence <= 1 and 0 < found.mass <= 1):
            raise LawBroken(f"{certifier!r}: confidence and mass must lie in (0, 1]")
