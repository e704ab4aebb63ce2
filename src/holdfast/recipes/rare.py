"""Training where some classes or groups are rare: presets of the standard run."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.hooks.freeze import TuneOnly
from holdfast.recipes.standard import Standard

ADJUSTED = register(
    "recipe", cites="logit-adjustment", name="logit-adjustment",
    says="Learns logits that do without the shares of the classes, so that rare ones count.",
)(Standard(objective="objective:logit-adjusted"))  # fmt: skip

BALANCED = register(
    "recipe", cites="simple-data-balancing", name="balanced-groups",
    says="Learns groups of rows as if all had equally many, so that a shortcut gains nothing.",
)(Standard(hooks=("hook:balanced-groups",)))  # fmt: skip

LAST_LAYER = register(
    "recipe", cites="last-layer-retraining", name="last-layer-retraining",
    says="Learns the last layer anew on groups that count alike; its features stay as they are.",
)(Standard(hooks=(TuneOnly(last=1), "hook:balanced-groups"), epochs=40))  # fmt: skip
