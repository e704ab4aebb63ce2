"""Settings: strict in Python, coercing when built, printing what they are."""

import pytest

from holdfast.core import catalog
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Later, Positive, Share, settings


@settings
class Sample:
    """A sample of settings.

    Args:
        steps: number.
        length: number.
        part: number.
        later: optimizer.
    """

    steps: Count = 3
    length: Positive = 1.0
    part: Share = 0.5
    later: Later = Later("torch:SGD", lr=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": True},
        {"steps": "3"},
        {"steps": 2.0},
        {"length": 0.0},
        {"length": float("nan")},
        {"part": 1.01},
        {"unknown": 1},
    ],
)
def test_wrong_values_name_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Sample(**wrong)  # type: ignore[arg-type]


def test_frozen_equal_and_printed() -> None:
    made = Sample(steps=5)
    assert eval(repr(made)) == made
    assert hash(made) == hash(Sample(steps=5))
    with pytest.raises(AttributeError):
        made.steps = 6  # type: ignore[misc]


def test_build_coerces_under_the_same_ranges() -> None:
    from holdfast.core.fields import coerced

    assert coerced(Sample, {"steps": "7", "part": "0.25"}) == Sample(steps=7, part=0.25)
    with pytest.raises(ConfigError, match="steps"):
        coerced(Sample, {"steps": "0"})


def test_later_makes_its_optimizer() -> None:
    import torch

    weight = torch.nn.Parameter(torch.zeros(2))
    made = Later(torch.optim.Adam, lr=0.5)([weight])
    assert isinstance(made, torch.optim.Adam)
    assert made.param_groups[0]["lr"] == 0.5
    with pytest.raises(ConfigError, match="Nothing"):
        Later("torch:Nothing")([weight])


def test_key_follows_settings_and_ingredients() -> None:
    assert catalog.key(Sample()) == catalog.key(Sample())
    assert catalog.key(Sample()) != catalog.key(Sample(steps=4))
