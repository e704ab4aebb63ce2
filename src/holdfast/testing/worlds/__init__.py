"""Worlds: small subjects in float64 whose truth is known exactly, shared by all laws.

Every world is a frozen dataclass with `model` (inputs -> logits), `x`, `y`, and functions that
say what is true of it. Make one with `World.make(...)`; equal arguments give equal worlds.
Inputs lie well inside [0, 1], so that small balls do not touch the box.
"""

from holdfast.testing.worlds.data import Bowl, Data, Quadratic, grid, mixture, separable
from holdfast.testing.worlds.experts import Experts
from holdfast.testing.worlds.language import Language, LookupModel
from holdfast.testing.worlds.linear import (
    Linear,
    Noise,
    Stairs,
    Stepped,
    draws,
    dual,
    linear_layer,
    noisy,
    staircase,
    three_class,
    two_class,
)
from holdfast.testing.worlds.nets import Images, Net, TinyReLU, deep_relu
from holdfast.testing.worlds.random_nets import RandomNet
from holdfast.testing.worlds.tokens import BagModel, Tokens

__all__ = [
    "BagModel",
    "Bowl",
    "Data",
    "Experts",
    "Images",
    "Language",
    "Linear",
    "LookupModel",
    "Net",
    "Noise",
    "Quadratic",
    "RandomNet",
    "Stairs",
    "Stepped",
    "TinyReLU",
    "Tokens",
    "deep_relu",
    "draws",
    "dual",
    "grid",
    "linear_layer",
    "mixture",
    "noisy",
    "separable",
    "staircase",
    "three_class",
    "two_class",
]
