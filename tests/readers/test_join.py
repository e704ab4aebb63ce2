"""Subjects: halves by contents, scaled tables, identities without paths."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast import readers
from holdfast.core.catalog import build
from holdfast.core.data import Batches
from holdfast.core.errors import ShapeError
from holdfast.readers import read_data, read_model, subject
from holdfast.readers.join import scaled, split, table_range
from holdfast.threats.grammar import parse

NET = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def test_halves_are_stratified_disjoint_and_complete():
    rows = read_data("digits")
    fitted, measured = split(rows)
    own = [set(part.index.tolist()) for part in (fitted, measured)]
    assert not own[0] & own[1] and own[0] | own[1] == set(range(len(rows)))
    counts = fitted.y.bincount() - measured.y.bincount()
    assert counts.abs().max() <= 1 and abs(len(fitted) - len(measured)) <= 1


def test_halves_do_not_depend_on_the_order_of_rows():
    rows = read_data("digits")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    for one, two in zip(split(rows), split(rows.take(order)), strict=True):
        assert set(one.index.tolist()) == set(two.index.tolist())


def test_equal_rows_stay_together():
    rows = read_data("synthetic:stripes:150")
    double = rows.take(torch.arange(150).repeat(2))
    clash = replace(double, y=torch.cat([rows.y, 1 - rows.y]))
    for data in (double, clash):
        fitted, measured = split(data)
        assert not set(fitted.index.tolist()) & set(measured.index.tolist())
        assert len(fitted) + len(measured) == 300 and len(measured) > 50


def test_few_rows_are_not_split():
    rows = read_data("digits")
    few = subject(NET, rows.take(slice(0, 199)))
    assert few.trusted is None and len(few.batches) == 199
    enough = subject(NET, rows.take(slice(0, 200)))
    assert abs(len(enough.trusted) - 100) <= 5 and enough.about["data"]["n_reference"]


def test_a_reference_leaves_all_rows_for_measuring():
    rows = read_data("digits")
    asked = subject(NET, rows.take(slice(0, 300)), reference=rows.take(slice(300, 900)), limit=200)
    assert len(asked.batches) == 200 and len(asked.trusted) == 600 and asked.about["sampled"]
    assert asked.about["data"]["n"] == 200 and asked.about["data"]["n_reference"] == 600


def test_labels_follow_the_names_of_the_reference():
    x = torch.rand(4, 1, 2, 2)
    data = Batches(x=x, y=torch.tensor([0, 1, 1, -100]), classes=("b", "c"))
    reference = Batches(x=x, y=torch.tensor([0, 1, 2, 0]), classes=("a", "b", "c"))
    asked = subject(nn.Flatten(), data, reference=reference)
    assert asked.batches.y.tolist() == [1, 2, 2, -100] and asked.batches.classes == ("a", "b", "c")
    with pytest.raises(ShapeError, match="does not know the classes a"):
        subject(nn.Flatten(), reference, reference=data)
    with pytest.raises(ShapeError, match="shape"):
        subject(nn.Flatten(), data, reference=replace(data, x=torch.rand(4, 1, 3, 3)))


def test_tables_are_scaled_and_the_model_sees_the_units_of_the_file():
    rows = read_data("breast-cancer")
    seen = []

    def model(x):
        seen.append(x)
        return x[:, :2]

    reference = rows.take(slice(0, 400))
    asked = subject(model, rows.take(slice(400, 569)), reference=reference)
    assert asked.batches.x.min() >= 0 and asked.batches.x.max() <= 1
    assert asked.trusted.x.amin(0).eq(0).all() and asked.trusted.x.amax(0).eq(1).all()
    asked.model(asked.trusted.x)
    assert torch.allclose(seen[-1], reference.x, rtol=1e-5, atol=1e-3)
    units = asked.about["units"]
    assert units[0]["column"] == "mean radius"
    assert units[0]["low"] == pytest.approx(float(reference.x[:, 0].min()))
    outside = (rows.x[400:] < reference.x.amin(0)) | (rows.x[400:] > reference.x.amax(0))
    assert asked.about["clipped"] == int(outside.any(1).sum()) > 0
    assert torch.equal(asked.batches.truth.high, reference.x.amax(0))


def test_constant_columns_keep_their_unit():
    x = torch.tensor([[1.0, 7.0], [3.0, 7.0]])
    low, high = table_range(x)
    made, clipped = scaled(Batches(x=x, y=torch.zeros(2).long()), low, high)
    assert made.x.tolist() == [[0, 0], [1, 0]] and clipped == 0


def test_images_are_not_scaled():
    rows = read_data("digits")
    asked = subject(NET, rows)
    assert asked.model is NET and torch.equal(asked.batches.x, rows.x[asked.batches.index])


def test_any_callable_can_be_audited():
    """A plain function, without a module or a gradient in sight, goes through whole checks."""
    rows = read_data("synthetic:blobs:240")
    centres = rows.truth.inner.centres

    def nearest(x):
        return -torch.cdist(x, centres).detach()

    asked = subject(nearest, rows, threats=(parse("linf:0.15"),))
    clean = list(build("check:clean")(asked))
    assert clean[0].readings[0].value > 0.95
    worst = [r for f in build("check:worst-case")(asked) for r in f.readings]
    (found,) = [r for r in worst if r.name == "attacks.worst@linf:0.15"]
    safe = (asked.batches.x - 0.5).abs().amin(1) > 0.15  # the borders are the middle lines
    right = nearest(asked.batches.x).argmax(1) == asked.batches.y
    assert found.value == pytest.approx(float((safe & right).double().mean()), abs=0.03)
    assert found.flags, "without a gradient the number is said to be doubtful"


def test_about_is_plain_repeats_and_holds_no_path(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text(
        "import torch\ndef net():\n"
        "    m = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
        "    torch.nn.init.constant_(m[1].weight, 0.1)\n"
        "    torch.nn.init.constant_(m[1].bias, 0.0)\n    return m\n"
    )
    texts = []
    for spec in (f"{tmp_path}/net.py:net", "net.py:net"):
        monkeypatch.chdir(tmp_path)
        texts.append(json.dumps(subject(read_model(spec), "digits", limit=50).about))
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]
    assert {"name", "model", "data", "sampled"} <= set(json.loads(texts[0]))


def test_the_names_of_the_package_survive_its_files():
    import holdfast.core.catalog

    holdfast.core.catalog.entries("source")  # imports every file of the package
    assert all(callable(getattr(readers, name)) for name in readers.__all__)


def test_importing_the_package_is_light():
    code = "import sys, holdfast.readers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Thousand(nn.Module):
    """A model of a thousand classes that looks at the mean colour."""

    def __init__(self, outputs=1000):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, outputs, generator=generator))

    def forward(self, x):
        return x.mean((2, 3)) @ self.weight


def test_benchmarks_of_some_classes_rule_the_others_out(tmp_path):
    from PIL import Image

    from holdfast.measures.outputs.subset import subset_accuracy
    from holdfast.readers.published.folders import wnids
    from holdfast.run.forward import correct, outputs

    numbers = (1, 400, 999)
    for n in range(30):
        folder = tmp_path / wnids()[numbers[n % 3]]
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (8 * n, 255 - 8 * n, 50 * (n % 5))).save(folder / f"{n}.png")
    net = Thousand().eval()
    asked = subject(net, f"imagenet-r:{tmp_path}")
    rows = asked.batches
    own = correct(outputs(asked.model, rows.x), rows.y)
    label = torch.tensor(numbers)[rows.y]
    whole = outputs(net, rows.x)
    want = subset_accuracy(whole, label, classes=numbers)
    assert float(own.double().mean()) == pytest.approx(want.value) and 0 < want.value < 1
    assert asked.model.training is False and asked.model(rows.x[:2]).shape == (2, 3)
    small = subject(Thousand(3).eval(), f"imagenet-r:{tmp_path}").model
    assert small(rows.x[:2]).shape == (2, 3)  # of these classes only: taken as it is
    with pytest.raises(ShapeError, match="999"):
        subject(Thousand(500).eval(), f"imagenet-r:{tmp_path}").model(rows.x[:2])
