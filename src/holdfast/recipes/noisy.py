"""Training where some labels are wrong."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.objectives.supervised import Supervised
from holdfast.recipes.standard import Standard

GCE = register(
    "recipe", cites="gce", name="generalized-cross-entropy",
    says="Between cross-entropy and absolute error, so that wrong labels pull little.",
)(Standard(objective=Supervised(loss="loss:generalized-cross-entropy")))  # fmt: skip
