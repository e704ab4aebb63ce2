"""The laws for methods of strangers: many checks, and a broken law is said in words."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from tests.cli.plugin_bench import forgetting

from holdfast.cli.plugged import plug
from holdfast.core.catalog import entries, find
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Count, settings
from holdfast.core.kinds import KINDS, Access, Attack
from holdfast.testing import LawBroken, conform
from holdfast.testing.conform import laws, subject_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin" / "corners.py"
# Quick ones; the others are tried in tests/test_laws.py with the same functions.
QUICK = {
    "threat": "linf", "attack": "fgsm", "certifier": "ibp", "defence": "temperature",
    "loss": "cross-entropy", "objective": "supervised", "backward": "backprop", "hook": "clip",
    "recipe": "standard", "optimizer": "sam", "rewrite": "round", "merge": "uniform-soup",
    "shift": "brightness", "measure": "brier", "explainer": "saliency", "detector": "energy",
    "source": "blobs", "check": "clean", "env": "", "agent": "",
}  # fmt: skip


def test_the_example_plugin_obeys_the_laws_of_attacks():
    with forgetting():
        plug([str(EXAMPLE)])
        assert conform(find("attack:corners").thing) >= 40


@settings
class Outside(Attack):
    """Leaves its threat.

    Args:
        steps: of no use.
    """

    access: ClassVar[Access] = Access.DECISION
    steps: Count = 1

    def __call__(self, model, x, goal, threat, *, dice=None):
        return torch.ones_like(threat.none(x))


@settings
class Crash(Outside):
    """Cannot be called."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        return 1 / 0


@settings
class Refuses(Outside):
    """Refuses every world."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        raise Unsupported("not this one")


@pytest.mark.parametrize(("method", "says"), [
    (Outside(), "law_changes_are_admissible: What the attack returns is inside the threat"),
    (Crash(), "It could not be tried: ZeroDivisionError"),
    (Refuses(), "raises Unsupported in every world"),
])  # fmt: skip
def test_a_broken_law_is_said_in_words(method, says):
    with pytest.raises(LawBroken, match=says):
        conform(method)


def test_a_function_must_say_its_kind():
    def fade(batch, severity, dice):
        return batch

    with pytest.raises(ConfigError, match="cannot tell the kind"):
        conform(fade)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "aggregator"])
def test_every_kind_can_be_tried(kind):
    own = entries(kind)
    entry = next((e for e in own if e.name == QUICK[kind]), own[0])
    assert conform(subject_of(entry) if entry.is_settings else entry.thing, kind) >= len(laws(kind))
