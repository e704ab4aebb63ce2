"""Average precision by hand and against a naive twin of the published evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from holdfast.core.errors import ConfigError, Unsupported
from holdfast.measures.outputs.boxes import Boxes, overlap
from holdfast.measures.outputs.detection import detection, domain_report, fitted_slope
from holdfast.readers.coco import read_coco, read_coco_o


def boxes(rows, score=None, crowd=None):
    t = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
    score = None if score is None else torch.tensor(score, dtype=torch.float64)
    crowd = None if crowd is None else torch.tensor(crowd)
    return Boxes(t[:, 0].long(), t[:, 1].long(), t[:, 2:], score, crowd)


TRUTH = boxes([[0, 0, 0, 0, 10, 10], [1, 0, 5, 5, 15, 25], [1, 1, 0, 0, 4, 4]])


def test_perfect_boxes():
    found = detection(Boxes(TRUTH.image, TRUTH.label, TRUTH.box, torch.ones(3)), TRUTH)
    assert [r.value for r in found.readings()] == pytest.approx([1, 1, 1])


def test_overlap_of_062():
    one = boxes([[0, 0, 0, 0, 100, 10]])
    moved = boxes([[0, 0, 0, 0, 62, 10]], [0.9])
    assert float(overlap(one.box, moved.box)) == pytest.approx(0.62)
    found = detection(moved, one)
    assert (found.at(0.5), found.at(0.75)) == (1, 0)
    assert found.mean == pytest.approx(0.3)


def test_a_second_detection_is_wrong_and_a_crowd_is_not():
    one = boxes([[0, 0, 0, 0, 10, 10], [1, 0, 0, 0, 10, 10]])
    twice = boxes(
        [[0, 0, 0, 0, 10, 10], [0, 0, 0, 0, 10, 10], [1, 0, 0, 0, 10, 10]], [0.9, 0.8, 0.7]
    )
    want = (51 * 1 + 50 * 2 / 3) / 101
    assert detection(twice, one).mean == pytest.approx(want)
    crowd = boxes(
        [[0, 0, 0, 0, 10, 10], [1, 0, 0, 0, 10, 10], [0, 0, 0, 0, 20, 20]],
        crowd=[False, False, True],
    )
    assert detection(twice, crowd).mean == pytest.approx(1)


def naive(found, truth, level):
    """Loops as in the published evaluation, one class."""
    free = {i: list(range(len(b))) for i, b in truth.items()}
    total, flags = sum(len(b) for b in truth.values()), []
    for _, image, box in sorted(found, key=lambda f: -f[0]):
        best, which = -1.0, None
        for k in free.get(image, []):
            share = float(overlap(box[None], truth[image][k][None]))
            if share >= level and share > best:
                best, which = share, k
        if which is not None:
            free[image].remove(which)
        flags.append(which is not None)
    tp, fp = np.cumsum(flags), np.cumsum(np.logical_not(flags))
    recall, precision = tp / total, tp / np.maximum(tp + fp, 1)
    for k in range(len(precision) - 1, 0, -1):
        precision[k - 1] = max(precision[k - 1], precision[k])
    out = []
    for r in np.linspace(0, 1, 101):
        k = np.searchsorted(recall, r - 1e-12, side="left")
        out.append(precision[k] if k < len(precision) else 0.0)
    return float(np.mean(out))


def test_random_boxes_against_the_naive_twin():
    g = torch.Generator().manual_seed(0)
    true, seen = [], []
    for image in range(6):
        for _ in range(4):
            corner, size = 40 * torch.rand(2, generator=g), 5 + 15 * torch.rand(2, generator=g)
            label = int(torch.randint(2, (1,), generator=g))
            box = torch.cat([corner, corner + size]).double()
            true.append((image, label, box))
            for _ in range(2):
                jitter = box + 2 * torch.randn(4, generator=g)
                score = float(torch.rand(1, generator=g))
                seen.append((image, label if score > 0.1 else 1 - label, jitter, score))
    truth = Boxes(torch.tensor([t[0] for t in true]), torch.tensor([t[1] for t in true]),
                  torch.stack([t[2] for t in true]))  # fmt: skip
    made = Boxes(torch.tensor([s[0] for s in seen]), torch.tensor([s[1] for s in seen]),
                 torch.stack([s[2] for s in seen]), torch.tensor([s[3] for s in seen]))  # fmt: skip
    found = detection(made, truth)
    for label in range(2):
        by_image = {i: [t[2] for t in true if t[:2] == (i, label)] for i in range(6)}
        own = [(s[3], s[0], s[2]) for s in seen if s[1] == label]
        for column in (0, 4, 8):
            want = naive(own, by_image, found.levels[column])
            assert float(found.precision[label, column]) == pytest.approx(want, abs=1e-9)


def test_classes_that_do_not_occur_do_not_count():
    only = boxes([[0, 2, 0, 0, 10, 10]])
    found = detection(boxes([[0, 2, 0, 0, 10, 10], [0, 1, 0, 0, 5, 5]], [0.5, 0.9]), only)
    assert found.mean == 1
    assert detection(boxes([], []), only).mean == 0
    with pytest.raises(Unsupported):
        detection(boxes([], []), boxes([]))


def test_report_of_domains():
    report = domain_report(100.0, {"sketch": 40.0, "tattoo": 50.0})
    assert (report.mean, report.effective) == (45, 0) and report.drop == pytest.approx(0.55)
    assert domain_report(64.2, {"all": 57.8}).effective == pytest.approx(28.9, abs=0.05)
    assert fitted_slope(torch.tensor([1.0, 2]), torch.tensor([0.5, 1])) == pytest.approx(0.5)


def test_annotation_files(tmp_path):
    raw = {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "../a.jpg"}],
        "categories": [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [1, 2, 3, 4], "iscrowd": 1},
            {"image_id": 3, "category_id": 1, "bbox": [0, 0, 5, 5]},
        ],
    }
    file = tmp_path / "a.json"
    file.write_text(json.dumps(raw), "utf-8")
    found = read_coco(file, tmp_path / "val")
    assert found.classes == ("person", "brush") and found.ids == (1, 90)
    assert found.truth.image.tolist() == [1, 0] and found.truth.box[0].tolist() == [1, 2, 4, 6]
    assert found.truth.crowds.tolist() == [True, False]
    assert found.files[0] == tmp_path / "val" / "a.jpg"
    with pytest.raises(ConfigError, match="easyrobust"):
        read_coco_o(tmp_path)
    file.write_text("{}", "utf-8")
    with pytest.raises(ConfigError):
        read_coco(file, tmp_path)
