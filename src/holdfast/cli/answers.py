"""Answers of a certifier on disk, piece by piece: stopped, the same command goes on."""

from __future__ import annotations

import time
from pathlib import Path

from torch import Tensor

from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import UntrustedFile
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.run.checkpoint import read_state, write_state
from holdfast.run.pieces import attack_digest

WORTH = 0.25  # seconds; what took less is asked again


class Answers:
    """What a certifier said of pieces of rows, found again by all that it depends on.

    Args:
        folder: of one command; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder, self.found = folder, 0
        self._whole: dict[int, tuple[Model, str]] = {}

    def ask(
        self, method: Certifier, model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice
    ) -> Certificate:
        """The answer kept, or the one that the method gives, which is kept if it was dear."""
        if self.folder is None:
            return method(model, x, goal, threat, dice=dice)
        place = self.folder / f"{self._key(method, model, x, goal, threat, dice)}.safetensors"
        known = _read(place, model, threat, len(x))
        if known is not None:
            self.found += len(x)
            return known
        begun = time.monotonic()
        said = method(model, x, goal, threat, dice=dice)
        if time.monotonic() - begun >= WORTH:
            write_state(place, {
                "margin": said.margin, "radius": said.radius, "confidence": said.confidence,
                "mass": said.mass, "spec": said.threat.spec,
            })  # fmt: skip
        return said

    def _key(
        self, method: Certifier, model: Model, x: Tensor, goal: Goal, threat: Threat, dice: Dice
    ) -> str:
        if id(model) not in self._whole:  # kept, so that ids stay theirs
            self._whole[id(model)] = model, attack_digest(method, model)  # type: ignore[arg-type]
        draws = [dice.seed, dice.keys, dice.stream]
        return digest(["certificate", self._whole[id(model)][1], x, goal, threat, *draws])


def _read(place: Path, model: Model, threat: Threat, count: int) -> Certificate | None:
    """The answer in a file; None without one, or if it is damaged."""
    if not place.exists():
        return None
    try:
        state = read_state(place)
        same = state["spec"] == threat.spec and len(state["margin"]) == count
        radius, sure, mass = state["radius"], float(state["confidence"]), float(state["mass"])
        return Certificate(model, threat, state["margin"], radius, sure, mass) if same else None
    except (UntrustedFile, OSError, KeyError, TypeError, ValueError):
        return None
