"""Training in company: presets whose objective has peers."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.recipes.standard import Standard

MUTUAL_AT = register(
    "recipe", cites="mutual-adversarial-training", name="mutual-at",
    says="Two nets are trained under attack and learn from each other; the first is kept.",
)(Standard(objective="objective:mutual"))  # fmt: skip

DIAL = register(
    "recipe", cites="dial", name="dial",
    says="TRADES, with features that do not tell attacked rows from clean ones.",
)(Standard(objective="objective:dial"))  # fmt: skip
