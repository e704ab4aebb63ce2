"""Tells threats that reach into a model which model that is."""

from __future__ import annotations

from dataclasses import replace

from holdfast.core.catalog import resolve
from holdfast.core.kinds import Model, Threat
from holdfast.threats.latent import Latent
from holdfast.threats.product import Product
from holdfast.threats.shared import Shared
from holdfast.threats.weights import Weights


def bind(threat: Threat, model: Model) -> Threat:
    """The same threat to this model; threats to inputs come back as they are.

    Args:
        threat: any threat, alone or inside sums and `shared`.
        model: what will be attacked.

    Raises:
        Unsupported: if the threat reaches into the model and the model is not one module.
    """
    if isinstance(threat, Weights | Latent):
        return threat.of(model)
    if isinstance(threat, Product):
        return replace(threat, parts=tuple(bind(resolve(p), model) for p in threat.parts))
    if isinstance(threat, Shared):
        return replace(threat, threat=bind(resolve(threat.threat), model))
    return threat
