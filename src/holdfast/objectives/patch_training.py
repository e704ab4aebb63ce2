"""Training against patches whose place is searched: settings of adversarial training."""

from __future__ import annotations

from holdfast.attacks.patches import PatchAttack
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.threats.patch import Patch

# Half of the loss is clean, half under patches of 25 steps, as published for 32 x 32 images with
# the middle kept clear. For other images: `replace(FULL_LO, threat=Patch(height=..., width=...))`.
THREAT = Patch(height=8, width=8, clear=(11, 11, 10, 10))
FULL_LO = AdversarialTraining(
    attack=PatchAttack(steps=25, rate=0.1, place="full-opt"), threat=THREAT, clean=0.5
)
RANDOM_LO = AdversarialTraining(
    attack=PatchAttack(steps=25, rate=0.1, place="random-opt"), threat=THREAT, clean=0.5
)
