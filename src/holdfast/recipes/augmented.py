"""Training on changed rows and with a price on more than errors: presets of the standard run."""

from __future__ import annotations

from holdfast.core.catalog import register
from holdfast.hooks.augment import Augment
from holdfast.objectives.attribution import AttributionProtection
from holdfast.objectives.consistent import Consistent
from holdfast.objectives.geodesic import Geodesic
from holdfast.objectives.jacobian import JacobianNorm
from holdfast.objectives.orthonormal import Orthonormality
from holdfast.objectives.penalized import Penalized
from holdfast.objectives.supervised import Supervised
from holdfast.recipes.standard import Standard

MIXUP = register(
    "recipe", cites="mixup", name="mixup",
    says="Learns means of two rows and of their labels.",
)(Standard(hooks=("hook:mixup",)))  # fmt: skip

CUTMIX = register(
    "recipe", cites="cutmix", name="cutmix",
    says="Learns rows with a box of another row, and of their labels as much.",
)(Standard(hooks=("hook:cutmix",)))  # fmt: skip

AUGMIX = register(
    "recipe", cites="augmix", name="augmix",
    says="Learns rows, and to answer alike on two mixtures of edits of each.",
)(Standard(objective=Penalized(penalty=Consistent(), weight=12.0)))  # fmt: skip

RANDAUGMENT = register(
    "recipe", cites="randaugment", name="randaugment",
    says="Learns rows under two drawn edits of one strength.",
)(Standard(
    hooks=(Augment(shift="shift:randaugment", amount=1.0, low=0.9, high=0.9),),
))  # fmt: skip

NOISE2NET = register(
    "recipe", cites="noise2net", name="noise2net",
    says="Learns half of the rows through nets of random weights.",
)(Standard(hooks=("hook:augment",)))  # fmt: skip

JACOBIAN = register(
    "recipe", cites="jacobian-regularization", name="jacobian",
    says="Learns with a price on the slopes of the logits.",
)(Standard(objective=Penalized(penalty=JacobianNorm(), weight=0.01)))  # fmt: skip

DECOUPLED = register(
    "recipe", cites="spectral-decoupling", name="spectral-decoupling",
    says="Learns with a price on the size of the logits, so that no feature starves another.",
)(Standard(objective=Supervised(loss="loss:spectral-decoupling")))  # fmt: skip

ORTHONORMAL = register(
    "recipe", cites="orthonormality-modulation", name="orthonormal",
    says="Learns very deep plain nets: filters stay orthonormal, errors keep their size.",
)(Standard(
    objective=Penalized(penalty=Orthonormality(), weight=1e-4), backward="backward:modulated",
    hooks=("hook:orthonormal-start",),
))  # fmt: skip

ATTRIBUTION = register(
    "recipe", cites="igr-attribution-protection", name="attribution-protection",
    says="Learns under attack, and attributions that an attack does not turn.",
)(Standard(
    objective=Penalized(base="objective:pgd-at", penalty=AttributionProtection(), weight=1.0),
))  # fmt: skip

GEODESIC = register(
    "recipe", cites="wasserstein-geodesic-augmentation", name="geodesic",
    says="Learns rows, and the shortest ways between classes.",
)(Standard(objective=Penalized(penalty=Geodesic(), weight=1.0)))  # fmt: skip
