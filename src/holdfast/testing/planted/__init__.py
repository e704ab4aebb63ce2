"""Nets with a counterexample that is known because it was put there: tests of soundness.

A verifier that proves one of them is wrong, whatever else it says. `on_the_edge` and `needle`
build the counterexample into the weights, `trained` lets training hide it, and `soundness` asks
a certifier about all of them.
"""

from holdfast.testing.planted.asking import Soundness, gallery, soundness
from holdfast.testing.planted.built import needle, on_the_edge
from holdfast.testing.planted.hidden import trained
from holdfast.testing.planted.nets import ARCHITECTURES, Planted

__all__ = [
    "ARCHITECTURES", "Planted", "Soundness", "gallery", "needle", "on_the_edge", "soundness",
    "trained",
]  # fmt: skip
