"""The grammar of threats, there and back, and its errors."""

import pytest

from holdfast.core.errors import ConfigError
from holdfast.threats.affine import Rotation, Translation
from holdfast.threats.categories import Categories
from holdfast.threats.grammar import parse, show
from holdfast.threats.latent import Latent
from holdfast.threats.norms import L1, L2, LInf
from holdfast.threats.patch import Patch
from holdfast.threats.product import Product
from holdfast.threats.residues import Residues
from holdfast.threats.shared import Shared
from holdfast.threats.weights import Weights

CASES = {
    "linf:8/255": LInf(radius=8 / 255),
    "linf:0.3": LInf(radius=0.3),
    "l2:0.5": L2(radius=0.5),
    "l1:12": L1(radius=12.0),
    "linf:0.1:-1..1": LInf(radius=0.1, low=-1.0, high=1.0),
    "rotation:30": Rotation(degrees=30.0),
    "rotation:30:border": Rotation(degrees=30.0, padding="border"),
    "translation:0.1": Translation(share=0.1),
    "patch:5x4": Patch(height=5, width=4),
    "weights:0.01": Weights(radius=0.01),
    "latent:layer2.0:0.1": Latent(layer="layer2.0", radius=0.1),
    "rotation:30+translation:0.1": Product(parts=(Rotation(), Translation())),
    "shared+linf:8/255": Shared(threat=LInf(radius=8 / 255)),
    "shared+rotation:30+translation:0.1": Shared(threat=Product()),
}


@pytest.mark.parametrize("text", CASES)
def test_text_and_threat_are_one(text: str) -> None:
    assert parse(text) == CASES[text]
    assert show(CASES[text]) == text


@pytest.mark.parametrize("radius", [1 / 3, 0.1 + 0.2, 1e-9, 123456.789, 2 / 255, 0.0])
def test_every_number_is_read_as_it_was_printed(radius: float) -> None:
    assert parse(LInf(radius=radius).spec) == LInf(radius=radius)


def test_a_count_behind_a_budget_may_be_left_out() -> None:
    assert parse("categories:2") == Categories(budget=2.0, values=8)
    assert parse("categories:2:3") == Categories(budget=2.0, values=3)
    assert parse("residues:4") == Residues(budget=4.0, sites=5)


def test_spaces_and_capitals_do_not_matter() -> None:
    assert parse(" LInf:8/255 ") == LInf(radius=8 / 255)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("lnf:0.1", "linf"), ("0.3", "linf:0.3"), ("linf", "linf:0.5"), ("linf:x", "fraction"),
        ("l2:1/0", "fraction"), ("l2:1:2:3", "range"), ("patch:5", "patch:5x5"),
        ("rotation", "rotation:30"), ("latent:0.1", "latent:layer2:0.1"), ("", "linf"),
        ("l2:-1", "greater"), ("rotation:30:sideways", "zeros"), ("rotation:30+", "rotation"),
        ("cyclic:1:0..1..2", "fraction"), ("l2:1:0..1..2", "fraction"), ("frame:2:x", "fraction"),
        ("patch:2x2:0..", "fraction"), ("categories:1:2:3", "categories:2:8"),
        ("residues:1:x", "residues:20:5"), ("residues", "residues:20:5"),
    ],
)  # fmt: skip
def test_errors_say_how_to_write_it(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        parse(text)
