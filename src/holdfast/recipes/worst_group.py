"""Training for the group that is served worst."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.recipes.standard import Standard

GROUP_DRO = register(
    "recipe", cites="group-dro", name="group-dro",
    says="Learns groups with weights that grow where the loss is largest.",
)(Standard(hooks=("hook:group-dro",)))  # fmt: skip
