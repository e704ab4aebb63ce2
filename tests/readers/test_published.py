"""Published benchmarks on miniature folders of the released form: rows, limits and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.readers.hostile import evil

from holdfast.core.errors import (
    ConfigError,
    HoldfastError,
    MissingExtra,
    ShapeError,
    Unsupported,
    UntrustedFile,
)  # fmt: skip
from holdfast.readers import read_data
from holdfast.readers.images import read_pictures
from holdfast.readers.origin import origin
from holdfast.readers.published import PYTHON_ONLY, families, released
from holdfast.readers.published.folders import wnids
from holdfast.readers.published.noisebench import CLASSES, read_noisebench
from holdfast.readers.published.rewardbench import read_rewardbench
from holdfast.shifts.mnist_c import RELEASED
from holdfast.shifts.published import IMAGENET_C

FISH, TENCH, BULB = "n01443537", "n01440764", "n15075141"


def picture(path: Path, colour: int, size: tuple[int, int] = (6, 6), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fill = colour if mode == "L" else (colour, 0, 255 - colour)
    Image.new(mode, size, fill).save(path)


def imagenet_c(root: Path, kinds=IMAGENET_C, classes=(TENCH, FISH, BULB)) -> Path:
    for k, kind in enumerate(kinds):
        released_name = "jpeg_compression" if kind == "jpeg" else kind.replace("-", "_")
        for level in range(1, 6):
            for c, wnid in enumerate(classes):
                for n in range(2):
                    path = root / released_name / str(level) / wnid / f"{n}.png"
                    picture(path, 16 * k + 3 * level + c)
    return root


def test_imagenet_c_is_numbered_among_the_thousand_classes(tmp_path):
    root = imagenet_c(tmp_path, ("fog", "jpeg"))
    whole = read_data(f"imagenet-c:{root}:fog,jpeg/5")
    assert len(whole) == 6 * 6 and whole.x.shape[1:] == (3, 6, 6)
    assert whole.classes == wnids() and sorted(set(whole.y.tolist())) == [0, 1, 999]
    assert origin(whole).groups == (*(f"fog/{k}" for k in range(1, 6)), "jpeg/5")
    assert torch.equal(whole.group.bincount(), torch.full((6,), 6))
    assert len(set(whole.index.tolist())) == len(whole)
    level3 = read_data(f"imagenet-c:{root}:fog/3")
    assert (level3.x[:, 0, 0, 0] * 255).round().tolist() == [9, 9, 10, 10, 11, 11]
    (root / "fog").rename(tmp_path / "moved")  # archives unpack into one more folder
    (root / "weather").mkdir()
    (tmp_path / "moved").rename(root / "weather" / "fog")
    assert torch.equal(read_data(f"imagenet-c:{root}:fog/3").x, level3.x)


def test_a_limit_draws_the_same_images_of_every_part_and_decodes_no_others(tmp_path, monkeypatch):
    root = imagenet_c(tmp_path, ("fog", "snow"))
    from holdfast.readers import images

    seen = []
    decode = images.picture_array
    monkeypatch.setattr(
        images, "picture_array", lambda p, *more: seen.append(p) or decode(p, *more)
    )
    few = read_data(f"imagenet-c:{root}:fog/1,snow/2", limit=6)
    assert len(few) == len(seen) == 6
    names = [[p.relative_to(root).parts[2:] for p in part] for part in (seen[:3], seen[3:])]
    assert names[0] == names[1] and origin(few).total == 12


def test_what_is_missing_is_named_with_the_place_where_it_is_published(tmp_path):
    imagenet_c(tmp_path, ("fog",))
    with pytest.raises(ConfigError) as caught:
        read_data(f"imagenet-c:{tmp_path}")
    assert "gaussian-noise" in caught.value.says and str(tmp_path) in caught.value.says
    assert "zenodo.org" in caught.value.fix and f"imagenet-c:{tmp_path}:fog" in caught.value.fix
    for name, family in families().items():
        with pytest.raises(ConfigError) as caught:
            read_data(f"{name}:{tmp_path / 'nowhere'}")
        assert "nowhere" in caught.value.says and family.link in caught.value.fix
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError) as caught:
            read_data(f"{name}:{tmp_path / 'empty'}")
        assert "empty" in caught.value.says and family.link in caught.value.fix
    with pytest.raises(ConfigError, match="1,000"):
        picture(tmp_path / "fog" / "1" / "n99999999" / "0.png", 1)
        read_data(f"imagenet-c:{tmp_path}:fog/1")


def test_tiny_imagenet_c_counts_its_own_classes(tmp_path):
    root = imagenet_c(tmp_path, ("fog",), classes=("n99999998", "n99999997"))
    rows = read_data(f"tiny-imagenet-c:{root}:fog/2")
    assert rows.classes == ("n99999997", "n99999998") and rows.y.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["imagenet-r", "imagenet-a", "imagenet-o"])
def test_subsets_of_the_classes_rule_out_all_others(tmp_path, name):
    inner = tmp_path / name
    picture(inner / FISH / "a.png", 10, (30, 20))
    picture(inner / BULB / "b.jpg", 250, (20, 40), "L")
    rows = read_data(f"{name}:{tmp_path}")
    assert rows.x.shape == (2, 3, 224, 224) and rows.classes == (FISH, BULB)
    assert origin(rows).known == wnids()
    assert rows.y.tolist() == ([-100, -100] if name == "imagenet-o" else [0, 1])


def test_sketches_and_the_second_test_set(tmp_path):
    picture(tmp_path / "sketch" / BULB / "a.png", 10)
    assert read_data(f"imagenet-sketch:{tmp_path}").y.tolist() == [999]
    for label in (0, 2, 10):
        picture(tmp_path / "v2" / str(label) / "a.png", label)
    rows = read_data(f"imagenet-v2:{tmp_path / 'v2'}")
    assert sorted(rows.y.tolist()) == [0, 2, 10] and not origin(rows).known
    assert all((rows.x[:, 0, 0, 0] * 255).round() == rows.y)


def test_pictures_are_fitted_as_imagenet_is_measured(tmp_path):
    ramp = np.linspace(0, 255, 512, dtype=np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (256, 512)).copy()).save(tmp_path / "a.png")
    x = read_pictures([(tmp_path / "a.png", 0)], grey=False, side=224).x
    middle = ramp[144 : 144 + 224] / 255
    assert torch.allclose(x[0, 0, 100], torch.from_numpy(middle).float(), atol=1e-6)
    picture(tmp_path / "line.png", 9, (1, 3000))
    x = read_pictures([(tmp_path / "line.png", 0)], grey=False, side=224).x
    assert x.shape == (1, 3, 224, 224)


def cifar_c(root: Path, kinds=IMAGENET_C, n: int = 4) -> np.ndarray:
    root.mkdir(exist_ok=True)
    y = np.arange(n) % 3
    np.save(root / "labels.npy", np.tile(y, 5))
    for k, kind in enumerate(kinds):
        own = np.arange(5 * n)[:, None, None, None] + 10 * k
        name = "jpeg_compression" if kind == "jpeg" else kind.replace("-", "_")
        np.save(root / f"{name}.npy", np.broadcast_to(own, (5 * n, 8, 8, 3)).astype(np.uint8))
    return y


@pytest.mark.parametrize("name", ["cifar-10-c", "cifar-100-c"])
def test_cifar_c_levels_are_blocks(tmp_path, name):
    y = cifar_c(tmp_path)
    whole = read_data(f"{name}:{tmp_path}")
    assert len(whole) == 75 * 4 and len(origin(whole).groups) == 75
    rows = read_data(f"{name}:{tmp_path}:fog/2")
    assert torch.equal(rows.y, torch.from_numpy(y)) and rows.classes == ("0", "1", "2")
    start = 10 * IMAGENET_C.index("fog") + 4
    assert (rows.x[:, 2, 1, 1] * 255).round().tolist() == [start + k for k in range(4)]
    few = read_data(f"{name}:{tmp_path}:fog/2,jpeg/5", limit=6)
    assert len(few) == 6 and torch.equal(few.y[:3], few.y[3:])
    with pytest.raises(ConfigError, match="bytes"):
        read_data(f"{name}:{tmp_path}:fog", max_bytes=1000)
    np.save(tmp_path / "fog.npy", np.zeros((19, 8, 8, 3), np.uint8))
    with pytest.raises(ShapeError, match="5 levels"):
        read_data(f"{name}:{tmp_path}:fog/1")


def test_mnist_c(tmp_path):
    for k, kind in enumerate([*(r.removeprefix("mnist-") for r in RELEASED), "identity"]):
        folder = tmp_path / kind.replace("-", "_")
        folder.mkdir()
        np.save(folder / "test_images.npy", np.full((3, 28, 28, 1), k, np.uint8))
        np.save(folder / "test_labels.npy", np.array([2, 0, 1]))
    whole = read_data(f"mnist-c:{tmp_path}")
    assert whole.x.shape == (45, 1, 28, 28) and "identity" not in origin(whole).groups
    clean = read_data(f"mnist-c:{tmp_path}:identity")
    assert (clean.x * 255).round().unique().tolist() == [15] and clean.y.tolist() == [2, 0, 1]


def test_medmnist_splits_and_rows_are_streamed(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "bloodmnist.npz"
    arrays = {}
    for split, n in (("train", 9), ("val", 4), ("test", 6)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, 5, 5, 3), np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, 3, (n, 1), np.uint8)
    np.savez_compressed(path, **arrays)
    for spec, split in (("", "test"), (":val", "val"), (":train", "train")):
        rows = read_data(f"medmnist:{path}{spec}")
        want = torch.from_numpy(arrays[f"{split}_images"]).permute(0, 3, 1, 2)
        assert torch.equal((rows.x * 255).round().byte(), want)
        assert rows.y.tolist() == arrays[f"{split}_labels"][:, 0].tolist()
    whole, few = read_data(f"medmnist:{path}:train"), read_data(f"medmnist:{path}:train", limit=4)
    assert torch.equal(few.x, whole.x[few.index]) and origin(few).total == 9
    assert len(read_data(f"medmnist:{path}", limit=2, max_bytes=700)) == 2
    with pytest.raises(ConfigError, match="bytes"):
        read_data(f"medmnist:{path}", max_bytes=700)


def test_medmnist_c(tmp_path):
    from holdfast.shifts.medmnist_levels import DATASETS

    root = tmp_path / "pneumoniamnist"
    root.mkdir()
    x = np.arange(15, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    y = np.tile([[0], [1], [1]], (5, 1))
    for kind in ("pixelate", "jpeg_compression", "gamma_corr_up"):
        np.savez_compressed(root / f"{kind}.npz", test_images=x, test_labels=y)
    rows = read_data(f"medmnist-c:{root}:gamma-up/2")
    assert (rows.x[:, 0, 0, 0] * 255).round().tolist() == [3, 4, 5] and rows.y.tolist() == [0, 1, 1]
    with pytest.raises(ConfigError) as caught:
        read_data(f"medmnist-c:{root}")
    lost = set(DATASETS["pneumonia"]) - {"pixelate", "jpeg", "gamma-up"}
    assert lost and all(kind in caught.value.says for kind in lost)


def test_films_out_of_frames_and_arrays(tmp_path):
    for n in range(3):
        for t in range(4):
            picture(tmp_path / "p" / "noise" / "snow" / FISH / f"f{n}" / f"{t}.png", 10 * n + t)
    films = read_data(f"imagenet-p:{tmp_path / 'p'}:snow", limit=2)
    assert films.x.shape == (2, 4, 3, 6, 6) and films.y.tolist() == [1, 1]
    values = (films.x[:, :, 0, 0, 0] * 255).round()
    assert torch.equal(values - values[:, :1], torch.arange(4.0).expand(2, 4))
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8, 3), np.uint8)
    np.save(tmp_path / "tilt.npy", x)
    rows = read_data(f"cifar-10-p:{tmp_path}:tilt")
    want = torch.from_numpy(x).permute(0, 1, 4, 2, 3)
    assert torch.equal((rows.x * 255).round().byte(), want) and rows.y.unique().tolist() == [-100]


def test_a_video_needs_its_library_and_must_be_one(tmp_path):
    from importlib.util import find_spec

    path = tmp_path / "snow" / FISH / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no video at all")
    with pytest.raises(UntrustedFile if find_spec("av") else MissingExtra) as caught:
        read_data(f"imagenet-p:{tmp_path}:snow")
    assert "a.mp4" in caught.value.says


def wilds(root: Path) -> Path:
    lines = ["img_id,img_filename,y,split,place"]
    for n in range(12):
        picture(root / "birds" / f"{n}.png", n)
        lines.append(f"{n},birds/{n}.png,{n % 2},{n // 6 * 2},{n % 3 % 2}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def test_wilds_tables(tmp_path):
    root = wilds(tmp_path)
    test = read_data(f"wilds:{root}")
    assert (test.x[:, 0, 0, 0] * 255).round().tolist() == [6, 7, 8, 9, 10, 11]
    assert test.y.tolist() == [0, 1] * 3 and test.group.tolist() == [0, 1, 0, 0, 1, 0]
    assert origin(test).groups == ("place 0", "place 1")
    assert len(read_data(f"wilds:{root}:train", limit=2)) == 2
    by_place = read_data(f"wilds:{root}", target="place")
    assert by_place.y.tolist() == [0, 1, 0, 0, 1, 0] and by_place.group is None
    with pytest.raises(ConfigError, match="nothing_like_it"):
        read_data(f"wilds:{root}", target="nothing_like_it")
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("birds/7", "../../birds/7"))
    with pytest.raises(UntrustedFile, match="outside"):
        read_data(f"wilds:{root}")


def test_labels_of_a_table_are_numbered_alike_in_every_split(tmp_path):
    root = wilds(tmp_path)
    lines = (root / "metadata.csv").read_text().splitlines()
    named = [",".join([*v.split(",")[:2], "bird" if k > 6 else "ant", *v.split(",")[3:]])
             for k, v in enumerate(lines[1:], 1)]  # fmt: skip
    (root / "metadata.csv").write_text("\n".join([lines[0], *named]))
    assert read_data(f"wilds:{root}").y.tolist() == [1] * 6  # no ant occurs in the test set
    assert read_data(f"wilds:{root}:train").classes == ("ant", "bird")


def test_parts_of_different_shapes_are_not_joined(tmp_path):
    root = imagenet_c(tmp_path, ("fog",))
    for path in (root / "fog" / "2").rglob("*.png"):
        picture(path, 1, (5, 5))
    with pytest.raises(ShapeError, match="fog/2"):
        read_data(f"imagenet-c:{root}:fog/1,fog/2")


def test_camelyon_is_split_by_hospital(tmp_path):
    lines = [",patient,node,x_coord,y_coord,tumor,slide,center,split"]
    for n, (center, split) in enumerate([(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]):
        node = f"patient_00{n}_node_4"
        picture(tmp_path / "patches" / node / f"patch_{node}_x_1_y_2.png", n)
        lines.append(f"{n},00{n},4,1,2,{n % 2},{n + 20},{center},{split}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    for part, want in (("test", [3, 4]), ("val", [2]), ("train", [0]), ("id-val", [1])):
        rows = read_data(f"wilds:{tmp_path}:{part}")
        assert (rows.x[:, 0, 0, 0] * 255).round().tolist() == want
    assert origin(read_data(f"wilds:{tmp_path}")).groups == ("slide 23", "slide 24")


def test_noisebench(tmp_path):
    def write(name, tags):
        words = [["-DOCSTART-"], ["Ada", "Byron", "wrote"], ["Rome"]]
        lines = ["\n".join(f"{w}\t{t}" for w, t in zip(s, ts, strict=True)) for s, ts in
                 zip(words, tags, strict=True)]  # fmt: skip
        (tmp_path / name).write_text("\n\n".join(lines) + "\n\n")

    write("clean.train", [["O"], ["B-PER", "I-PER", "O"], ["B-LOC"]])
    write("noise_crowd.train", [["O"], ["B-PER", "O", "O"], ["B-ORG"]])
    rows = read_noisebench(tmp_path, "crowd")
    assert rows.x == ["Ada Byron wrote", "Rome"]
    assert rows.y.tolist() == [[1, 2, 0], [5, -100, -100]] and CLASSES[5] == "B-LOC"
    assert rows.more["noisy"].tolist() == [[1, 0, 0], [3, -100, -100]]
    assert len(read_noisebench(tmp_path, "crowd", limit=1)) == 1
    with pytest.raises(ConfigError) as caught:
        read_noisebench(tmp_path, "llm")
    assert "noise_llm.train" in caught.value.says and "github.com" in caught.value.fix
    write("noise_llm.train", [["O"], ["B-PER", "I-PER", "O"], ["B-LOC"]])
    text = (tmp_path / "noise_llm.train").read_text()
    (tmp_path / "noise_llm.train").write_text(text.replace("Rome", "Roma"))
    with pytest.raises(UntrustedFile, match="different"):
        read_noisebench(tmp_path, "llm")
    (tmp_path / "noise_llm.train").write_text(text.replace("B-LOC", "LOC"))
    with pytest.raises(UntrustedFile, match="line 7"):
        read_noisebench(tmp_path, "llm")


def test_rewardbench(tmp_path):
    path = tmp_path / "pairs.jsonl"
    pairs = [
        {"prompt": f"p{k}", "chosen": "y" * k, "rejected": "z", "subset": "ab"[k % 2], "id": k}
        for k in range(4)
    ]
    path.write_text("\n".join(map(json.dumps, pairs)) + "\n")
    found = read_rewardbench(path)
    assert (
        len(found) == 4
        and found.subset == ("a", "b", "a", "b")
        and found.only("b").prompt[1] == "p3"
    )
    rewards = found.rewards(lambda prompts, texts: torch.tensor([float(len(t)) for t in texts]))
    assert rewards.tolist() == [[0, 1], [1, 1], [2, 1], [3, 1]]
    assert len(read_rewardbench(path, limit=3)) == 3
    for line in (
        "{",
        '{"prompt": "a", "chosen": "b"}',
        '{"prompt": 1, "chosen": "", "rejected": ""}',
    ):
        path.write_text(line)
        with pytest.raises(UntrustedFile, match="line 1"):
            read_rewardbench(path)
    with pytest.raises(ConfigError, match="nowhere") as caught:
        read_rewardbench(tmp_path / "nowhere.jsonl")
    assert "huggingface.co" in caught.value.fix
    with pytest.raises(UntrustedFile, match="more than"):
        read_rewardbench(path, max_bytes=10)


def test_nothing_in_an_array_is_run(tmp_path):
    marker = tmp_path / "marker"
    cifar_c(tmp_path, ("fog",))
    (tmp_path / "fog.npy").write_bytes(evil(marker))
    with pytest.raises(UntrustedFile):
        read_data(f"cifar-10-c:{tmp_path}:fog/1")
    objects = np.array([[[None]]] * 5, dtype=object)
    np.save(tmp_path / "fog.npy", objects, allow_pickle=True)
    with pytest.raises(UntrustedFile):
        read_data(f"cifar-10-c:{tmp_path}:fog/1")
    path = tmp_path / "x.npz"
    np.savez(path, test_images=objects, test_labels=np.arange(5))
    with pytest.raises(HoldfastError):
        read_data(f"medmnist:{path}")
    assert not marker.exists()


def test_what_is_no_set_of_rows_says_how_it_is_read(tmp_path):
    from importlib import import_module

    for name, reader in PYTHON_ONLY.items():
        with pytest.raises(Unsupported) as caught:
            read_data(f"{name}:{tmp_path}")
        module, _, function = reader.rpartition(".")
        assert function in caught.value.fix and callable(getattr(import_module(module), function))
    assert released("file.py:function") is None and released("digits") is None
