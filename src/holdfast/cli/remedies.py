"""What helps against what an audit finds: the table of `--recipe auto`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.cli.lesson import TEMPERATURE


@dataclass(frozen=True)
class Remedy:
    """A weakness, the readings that show it, and what helps, the best first.

    Args:
        weakness: in words.
        readings: names of gates or readings that show it.
        recipes: names of the catalogue; those that are not there are passed over.
        why: what they do about it.
    """

    weakness: str
    readings: tuple[str, ...]
    recipes: tuple[str, ...]
    why: str


NOISY = Remedy(
    "labels are wrong", (),
    ("generalized-cross-entropy",),
    "its loss lets rows whose label looks absurd pull little",
)  # fmt: skip
SPURIOUS = Remedy(
    "it leans on what only goes along with the class", (),
    ("spectral-decoupling", "augmix", "randaugment"),
    "it cannot settle for the feature that is learned fastest",
)  # fmt: skip
GROUPED = replace(
    SPURIOUS, recipes=("balanced-groups", "last-layer-retraining"),
    why="groups with few rows count as much as the others, so a shortcut gains nothing",
)  # fmt: skip
RARE = Remedy(
    "a class of few rows is served worse than the others", (),
    ("logit-adjustment",),
    "its loss asks for a wider margin of the classes with few rows",
)  # fmt: skip
TABLE = (
    Remedy(
        "it does not hold under attack", ("attacks.worst@*",),
        ("adversarial-fine-tuning", "trades", "pgd-at"),
        "it learns the worst changes that an attack finds",
    ),
    Remedy(
        "too little is proved", ("certificates.*", "envelope.certified@*"),
        ("crown-ibp", "ibp", "gloro"), "it learns bounds, so that they can be proved",
    ),
    Remedy(
        "one class is served worse than the others", ("clean.worst_class", "slices.*"),
        ("dafa", "doubly-robust"),
        "it gives more to the classes that are confused most",
    ),
    Remedy(
        "its confidence is not its accuracy", ("calibration.*",),
        (TEMPERATURE, "label-smoothing", "mixup"),
        "it takes confidence back to what is deserved",
    ),
    Remedy(
        "it breaks when its inputs shift", ("corruptions.*", "shifts.*", "gym.*"),
        ("augmix", "randaugment", "noise2net", "mixup"),
        "it learns from rows that are changed in ways that keep their class",
    ),
)  # fmt: skip
FRESH = replace(
    TABLE[0], recipes=("short-at", "pgd-at"),
    why="it learns the worst changes within a threat that grows, for it has learned little yet",
)  # fmt: skip
AGAIN = replace(
    TABLE[0], recipes=("trades-awp", "trades"),
    why="it was hardened before and that did not do: weights are moved uphill too, and averaged",
)  # fmt: skip
COSTLY = Remedy(
    "it holds under attack and pays for it on rows as they are", ("clean.accuracy",),
    ("rift",), "it tunes the layer that robustness needs least on rows as they are",
)  # fmt: skip
