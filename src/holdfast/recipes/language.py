"""Fine-tuning of language models against changes of what their tokens are looked up as."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.core.fields import Later
from holdfast.hooks.selective import Selective
from holdfast.recipes.standard import Standard

ROAST = register(
    "recipe", cites="roast", name="roast",
    says="Moved embeddings, and updates only for the weights that matter.",
)(Standard(
    objective="objective:roast", hooks=(Selective(alpha=0.6, beta=1.0),),
    warmup=0.06,
    optimizer=Later("torch:AdamW", lr=1e-2), schedule="linear",
))  # fmt: skip
