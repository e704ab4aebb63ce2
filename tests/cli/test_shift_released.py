"""`holdfast shift` on benchmarks that were released: measured as they are, against naive twins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from holdfast.cli.front import run
from holdfast.shifts.mnist_c import RELEASED
from holdfast.shifts.published import IMAGENET_C
from holdfast.shifts.sequences import IMAGENET_P

NET = """from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear({inputs}, 3))
"""
N = 12


def lay(folder: Path, inputs: int) -> nn.Module:
    """A random network in the folder."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 3))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    torch.save(net.state_dict(), folder / "net.pt")
    (folder / "net.py").write_text(NET.format(inputs=inputs))
    return net


def command(data: str, *more: str) -> list[str]:
    return ["shift", "net.pt", "--arch", "net.py:build", "--data", data, *more]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_levels_of_the_release_are_measured_and_not_generated(here: Path, capsys) -> None:
    net, rng = lay(here, 192), np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    (here / "c").mkdir()
    np.save("c/labels.npy", np.tile(y, 5))
    arrays = {}
    for kind in IMAGENET_C:
        name = "jpeg_compression" if kind == "jpeg" else kind.replace("-", "_")
        arrays[kind] = rng.integers(0, 256, (5 * N, 8, 8, 3), np.uint8)
        np.save(f"c/{name}.npy", arrays[kind])
    assert run(command("cifar-10-c:c", "--errors", "alexnet", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["suite"] == "cifar-10-c" and told["n"] == N and told["clean"] is None
    assert len(told["cells"]) == 75
    for cell in told["cells"]:
        level = round(5 * cell["severity"]) - 1
        x = torch.from_numpy(arrays[cell["kind"]][level * N : (level + 1) * N])
        right = net(x.permute(0, 3, 1, 2).float() / 255).argmax(1) == torch.from_numpy(y)
        assert cell["value"] == pytest.approx(float(right.double().mean()))
    names = [e["name"] for e in told["errors"]]
    assert "corruption.mce" in names
    assert not {"corruption.clean", "corruption.relative_mce"} & set(names)
    assert run(command("cifar-10-c:c:fog,snow/2", "--limit", "6", "--json")) == 0
    few = json.loads(capsys.readouterr().out)
    assert few["n"] == 6 and len(few["cells"]) == 6
    assert run(command("cifar-10-c:c:fog")) == 0
    out = capsys.readouterr().out
    assert "unchanged: not there" in out and "fog" in out and "as released" in out


def test_digits_have_a_clean_part_and_our_names(here: Path, capsys) -> None:
    net, rng = lay(here, 784), np.random.default_rng(0)
    y = rng.integers(0, 3, N)
    for kind in [*RELEASED, "mnist-identity"]:
        folder = here / "m" / kind.removeprefix("mnist-").replace("-", "_")
        folder.mkdir(parents=True)
        np.save(folder / "test_images.npy", rng.integers(0, 256, (N, 28, 28, 1), np.uint8))
        np.save(folder / "test_labels.npy", y)
    assert run(command("mnist-c:m", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert {c["kind"]: c["severity"] for c in told["cells"]} == RELEASED
    x = torch.from_numpy(np.load("m/identity/test_images.npy")).permute(0, 3, 1, 2).float() / 255
    right = net(x).argmax(1) == torch.from_numpy(y)
    assert told["clean"]["value"] == pytest.approx(float(right.double().mean()))


def test_films_are_asked_frame_by_frame(here: Path, capsys) -> None:
    net, rng = lay(here, 192), np.random.default_rng(0)
    (here / "p").mkdir()
    films = {}
    for kind in IMAGENET_P:
        name = "spatter" if kind == "snow" else kind.replace("-", "_")
        films[kind] = rng.integers(0, 256, (4, 5, 8, 8, 3), np.uint8)
        np.save(f"p/{name}.npy", films[kind])
    assert run(command("cifar-10-p:p", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    found = {e["name"]: e["value"] for e in told["errors"]}
    for kind in ("tilt", "shot-noise"):
        x = torch.from_numpy(films[kind]).permute(0, 1, 4, 2, 3).float() / 255
        own = net(x.flatten(0, 1)).argmax(1).view(4, 5)
        before = own[:, :1] if kind == "shot-noise" else own[:, :-1]
        want = float((own[:, 1:] != before).double().mean())
        assert found[f"flips.{kind}"] == pytest.approx(want)
    assert run(command("cifar-10-p:p")) == 0
    assert "films" in capsys.readouterr().out


def test_refusals_name_the_publisher(here: Path, capsys) -> None:
    lay(here, 192)
    assert run(command("imagenet-c:nowhere")) == 2
    assert "zenodo.org" in capsys.readouterr().err
    Image.new("RGB", (8, 8)).save("a.png")
    assert run(command("coco-o:.")) == 2
    assert "read_coco_o" in capsys.readouterr().err


def test_a_limit_reaches_the_reader(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.cli.prepare import subject_of
    from holdfast.readers.published import arrays

    lay(here, 192)
    (here / "c").mkdir()
    np.save("c/labels.npy", np.tile(np.arange(N) % 3, 5))
    np.save("c/fog.npy", np.random.default_rng(0).integers(0, 256, (5 * N, 8, 8, 3), np.uint8))
    taken = []
    drawn = arrays.drawn
    monkeypatch.setattr(
        arrays, "drawn", lambda y, asked: taken.append(found := drawn(y, asked)) or found
    )
    chosen = {"threat": [], "seed": 0, "limit": 5, "arch": "net.py:build"}
    asked = subject_of("net.pt", chosen | {"data": "cifar-10-c:c:fog"})
    assert len(asked.batches) == 5 and sum(map(len, taken)) == 10
