"""Training that ends in a smaller model."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Later
from holdfast.hooks.pruning import PruneNeurons
from holdfast.recipes.standard import Standard

ADASAP = register(
    "recipe", cites="adasap", name="adasap",
    says="Makes the loss flat in weak neurons, prunes them, then makes it flat everywhere.",
)(Standard(
    optimizer=Later("optimizer:adasap"), hooks=(PruneNeurons(),), epochs=30,
))  # fmt: skip
