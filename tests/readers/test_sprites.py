"""Sprites: every factor changes what it names and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from holdfast.cli.front import run
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.measures.model.attributes import attribute_drop
from holdfast.ops.compose import boxes
from holdfast.readers import read_data
from holdfast.readers.synthetic.sprites import HALF, RANGES, REACH, Span, sprites
from holdfast.shifts.attributes import object_size, plain_background

N = 60
STILL: dict[str, Span] = {
    "size": 0.25, "row": 0.5, "column": 0.5, "rotation": 0.0, "background": 0.0, "texture": 0.5,
}  # fmt: skip


def drawn(n: int = N, seed: int = 0, **factors: Span) -> Batches:
    return sprites(n, Dice.of(n, seed), **{**STILL, **factors})


def mask(batches: Batches) -> Tensor:
    return batches.more["mask"][:, 0].double()


def middle(of: Tensor) -> Tensor:
    """`(n, 2)` centre of mass, row and column in pixels."""
    line = torch.arange(of.shape[-1]).double() + 0.5
    total = of.sum((1, 2))
    down, across = (of.sum(2) * line).sum(1) / total, (of.sum(1) * line).sum(1) / total
    return torch.stack([down, across], 1)


def test_areas_are_those_of_the_shapes() -> None:
    for size in (0.2, 0.3, 0.45):
        area, r = mask(drawn(size=size)).sum((1, 2)), 32 * size
        long, half = REACH * r, HALF * r
        cross = 8 * long * half - 4 * half**2
        ring = torch.pi * (long**2 - (long - 2 * half) ** 2)
        for k, want in enumerate((cross, float(ring), 4 * long * half)):
            assert area[k::3].tolist() == pytest.approx([want] * (N // 3), rel=0.02)


def test_the_middle_is_where_row_and_column_say() -> None:
    for row, column in ((0.3, 0.5), (0.5, 0.72), (0.4, 0.61)):
        at = middle(mask(drawn(row=row, column=column)))
        want = torch.tensor([32 * row, 32 * column]).double().expand(N, 2)
        assert torch.allclose(at, want, atol=0.06)


def test_a_turn_is_that_of_the_image() -> None:
    before, quarter = drawn(), drawn(rotation=90.0)
    turned = before.more["mask"].rot90(1, (2, 3))  # anticlockwise
    assert torch.allclose(quarter.more["mask"], turned, atol=1e-6)
    bar = mask(drawn(rotation=30.0))[2]
    line = torch.arange(32) + 0.5 - 16.0
    down, across = line[:, None], line[None]
    angle = 0.5 * torch.atan2(-2 * (bar * down * across).sum(), (bar * (across**2 - down**2)).sum())
    assert float(angle.rad2deg()) == pytest.approx(30, abs=0.5)


@pytest.mark.parametrize("name", list(RANGES))
def test_one_interval_changes_one_factor(name: str) -> None:
    other: dict[str, Span] = {
        "size": 0.3, "row": 0.6, "column": 0.4, "rotation": 25.0, "background": 0.4, "texture": 1.0,
    }  # fmt: skip
    before, after = drawn(), drawn(**{name: other[name]})
    assert torch.equal(before.y, after.y)
    differs = {k for k in before.more if not torch.equal(before.more[k], after.more[k])}
    seen = {"background": {"background"}, "texture": set()}.get(name, {"mask"})
    assert differs == {f"factor.{name}"} | seen
    changed = (before.x != after.x).any(1, keepdim=True)
    shows = (before.y != 1) | (name != "rotation")  # a ring looks the same however it is turned
    assert bool(changed.any(1).any(1).any(1)[shows].all())
    if name == "background":
        assert not bool((changed & (before.more["mask"] == 1)).any())
    if name == "texture":
        assert not bool((changed & (before.more["mask"] == 0)).any())


def test_values_of_an_interval_fill_it_and_are_kept() -> None:
    spans: dict[str, Span] = {"size": (0.2, 0.25), "rotation": (-40.0, 10.0), "texture": (0.5, 1)}
    made = drawn(2000, **spans)
    for name, (low, high) in spans.items():  # type: ignore[misc]
        value = made.more[f"factor.{name}"]
        share = (value.double() - low) / (high - low)
        assert float(share.min()) >= -1e-6 and float(share.max()) <= 1 + 1e-6
        assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
    assert made.truth.spans["size"] == (0.2, 0.25) and made.truth.spans["row"] == (0.5, 0.5)


def test_rows_do_not_depend_on_how_many_are_drawn_together() -> None:
    dice = Dice.of(50, 3)
    whole = sprites(50, dice.part(slice(None)))
    for part in (slice(0, 7), slice(8, 13), slice(49, 50)):
        some = sprites(part.stop - part.start, dice.part(part))
        assert torch.equal(some.x, whole.x[part]) and torch.equal(some.y, whole.y[part])
        for key, value in some.more.items():
            assert torch.equal(value, whole.more[key][part]), key
    assert not torch.equal(sprites(50, Dice.of(50, 4)).x, whole.x)


def test_images_are_composed_of_object_and_ground() -> None:
    for side in (16, 21, 32, 48):
        made = sprites(90, Dice.of(90), side=side)
        over, ground = made.more["mask"], made.more["background"]
        assert made.x.shape == ground.shape == (90, 3, side, side) and over.shape[1] == 1
        assert bool(((made.x >= 0) & (made.x <= 0.9)).all())
        outside = (over == 0).expand_as(ground)
        assert torch.equal(made.x[outside], ground[outside])
        soft = ((over > 0) & (over < 1)).double().sum((1, 2, 3))
        assert bool((soft > 0.2 * side).all())  # edges are not stairs
        assert bool((made.truth.rule(made.x) == made.y).all())


def test_objects_stay_inside_at_the_ends_of_the_intervals() -> None:
    size = 6 / 32  # in whole pixels, so that an object that moves is drawn alike
    for turn in range(0, 180, 15):
        whole = mask(drawn(size=size, rotation=float(turn))).sum((1, 2))
        for place in (size, 1 - size):
            found = mask(drawn(size=size, row=place, column=place, rotation=float(turn)))
            assert torch.allclose(found.sum((1, 2)), whole, rtol=0.005)


@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ({"size": (0.3, 0.2)}, "size"),
        ({"size": 0.05}, "size"),
        ({"size": 0.6}, "size"),
        ({"row": (0.1, 0.5)}, "row"),
        ({"column": 0.9}, "column"),
        ({"size": 0.5, "row": (0.5, 0.6)}, "leave the image"),
        ({"rotation": 200.0}, "rotation"),
        ({"background": (-0.1, 0.5)}, "background"),
        ({"texture": float("nan")}, "texture"),
        ({"texture": (0.0, float("inf"))}, "texture"),
        ({"side": 8}, "side"),
    ],
)
def test_what_cannot_be_drawn_is_refused(factors: dict[str, Span], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        drawn(**factors)
    assert caught.value.fix


def test_shifts_and_measures_of_objects_read_the_mask() -> None:
    made = drawn(30, size=0.4, background=(0.0, 1.0))
    batch: Batch = made.whole
    plain = plain_background(batch, 1.0).x
    inside = (batch.more["mask"] == 1).expand_as(plain)
    assert torch.equal(plain[inside], made.x[inside])
    assert float((plain - made.x).abs().amax()) > 0.02
    small = object_size(batch, 1.0, Dice.of(30)).x
    bright = [(x.amin(1, keepdim=True) > 0.3).float() for x in (made.x, small)]
    assert bool((boxes(bright[1])[:, 2:] <= boxes(bright[0])[:, 2:]).all())
    names = [r.name for r in attribute_drop(net(), made).readings()]
    assert any("background.swap" in name for name in names), names


def net(side: int = 32) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.Conv2d(12, 24, 5, 2, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * (side // 4) ** 2, 48), nn.ReLU(), nn.Linear(48, 3),
    )  # fmt: skip


def learned(data: Batches, epochs: int) -> nn.Sequential:
    data = replace(data, size=30)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = net(data.x.shape[-1])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for epoch in range(epochs):
        for batch in data.draw(Dice.of(1, epoch)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch.x), batch.y).backward()
            optimizer.step()
    return model.eval()


def accuracy(model: nn.Module, data: Batches) -> float:
    with torch.no_grad():
        return float((model(data.x).argmax(1) == data.y).double().mean())


def test_a_small_net_learns_the_classes_of_all_factors() -> None:
    train, test = (sprites(1500, Dice.of(1500, seed), side=16) for seed in (1, 2))
    assert accuracy(learned(train, 15), test) > 0.9


ARCH = """from torch import nn


def build():
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.Conv2d(12, 24, 5, 2, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(1536, 48), nn.ReLU(), nn.Linear(48, 3))
"""


def test_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    data = read_data("synthetic:sprites:500", seed=0)
    assert len(data) == 500 and data.classes == ("cross", "ring", "bar")
    Path("net.py").write_text(ARCH)
    torch.save(learned(data, 1).state_dict(), "net.pt")
    words = "--arch net.py:build --data synthetic:sprites:500".split()
    assert (
        run(["shift", "net.pt", *words, "--suite", "imagenet-c-extra", "--limit", "60", "--json"])
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert len(told["cells"]) >= 15 and not told["left_out"]
    suite = '[[check]]\nuse = "check:clean"\n[[check]]\nuse = "check:slices"\n'
    Path("few.toml").write_text(suite)
    given = ["audit", "net.pt", *words, "--threat", "linf:2/255", "--profile", "few.toml"]
    assert run([*given, "--json"]) in (0, 1)  # the gates of a net that hardly learned
    results = json.loads(capsys.readouterr().out)
    assert results["subject"]["data"]["name"] == "synthetic:sprites"
    for name in ("cross", "ring", "bar"):
        assert f"class {name}" in json.dumps(results)
