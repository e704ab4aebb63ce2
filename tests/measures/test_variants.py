"""Accuracy on changed versions of the same rows, against closed forms and naive counts."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.measures.model.attributes import attribute_drop
from holdfast.measures.model.factors import factor_curve, laid
from holdfast.measures.model.resolution import (
    fair_weights,
    improved_robustness,
    relative_robustness,
    resolution_curve,
    weighted_robustness,
)
from holdfast.measures.model.transfer import informativeness
from holdfast.ops.compose import boxes
from holdfast.ops.resize import at_resolution


class Brightest(nn.Module):
    """Answers by the mean of the image, or of its middle: 0 dark, 1 bright."""

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1)


class Fine(nn.Module):
    """Answers 1 where neighbours differ."""

    def forward(self, x):
        rough = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
        return torch.stack([0.1 - rough, rough - 0.1], 1)


def test_robustness_at_chance_is_none():
    assert relative_robustness(0.4, 0.8) == 0.5
    assert math.isnan(relative_robustness(0.4, 0))
    assert improved_robustness(0.1, 0.1, 0.1) == 0
    assert improved_robustness(0.1, 0.12, 0.1) < 0.1  # the plain ratio is 0.83
    assert improved_robustness(0.4, 0.8, 0.1) == pytest.approx(0.5 * (1 - math.exp(-200 * 0.49)))


def test_weighted_means_and_weights_that_listen_to_every_data_set():
    values = torch.tensor([[0.2, 0.6], [0.4, 0.5]])
    assert weighted_robustness(values).tolist() == pytest.approx([0.4, 0.45])
    weights = torch.tensor([1.0, 3.0])
    assert weighted_robustness(values, weights).tolist() == pytest.approx([0.5, 0.475])
    with pytest.raises(ConfigError):
        weighted_robustness(values, torch.zeros(2))
    g = torch.Generator().manual_seed(0)
    quality = torch.linspace(0, 1, 12)
    wild = torch.rand(12, generator=g)  # one data set that follows nothing, with a wide range
    table = torch.stack([wild, *(0.5 + 0.02 * quality for _ in range(3))], 1)
    weights = fair_weights(table)
    aggregate = weighted_robustness(table, weights)

    def agreement(a):
        return sum(stats.spearmanr(a, table[:, d]).statistic for d in range(4))

    assert agreement(aggregate) > agreement(weighted_robustness(table)) + 0.5
    with pytest.raises(ShapeError):
        fair_weights(table[:2])


def test_resolution_matches_pillow_and_costs_what_is_fine():
    x = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    from PIL import Image

    small = Image.fromarray(x[0, 0].numpy(), "F").resize((4, 4), Image.Resampling.BICUBIC)
    size = (4, 4)
    got = nn.functional.interpolate(x[:1], size, mode="bicubic", antialias=True)
    assert torch.allclose(
        got[0, 0], torch.tensor(list(np.asarray(small).ravel())).reshape(4, 4), atol=2e-3
    )
    assert torch.equal(at_resolution(x, 1.0), x)
    found = resolution_curve(Fine(), Batches(x=x, y=torch.ones(4).long()), shares=(0.5, 0.1))
    assert found.variants.accuracy("native") == 1
    assert found.variants.accuracy("0.1") == 0
    assert found.relative("0.1") == 0
    with pytest.raises(ConfigError):
        resolution_curve(Fine(), Batches(x=x, y=torch.ones(4).long()), shares=(0.0,))
    with pytest.raises(Unsupported):
        resolution_curve(Fine(), Batches(x=x[:, 0, 0], y=torch.ones(4).long()))


def test_a_background_that_decides_is_found_by_swapping_it():
    mask = torch.zeros(6, 1, 12, 12)
    mask[:, :, 4:8, 4:8] = 1
    y = torch.arange(6) % 2
    ground = y.float()[:, None, None, None].expand(6, 1, 12, 12)
    x = torch.where(mask > 0, 0.5, ground)
    more = {"mask": mask, "background": 1 - ground}
    found = attribute_drop(Brightest(), Batches(x=x, y=y, more=more), sizes=(0.05,))
    assert found.drop("identity") == 0
    assert found.drop("background.simple") == 0
    assert found.drop("background.swap") == 1
    assert found.drop("size.0.05") == 0
    assert found.mean_drop == pytest.approx(1 / 6)
    assert {r.name for r in found.readings()} >= {"attributes.original", "attributes.position.drop"}


@pytest.mark.parametrize("area", [0.1, 0.3, 0.6])
def test_pasted_objects_have_the_area_and_the_place_that_are_asked(area):
    mask = torch.zeros(2, 1, 20, 20).double()
    mask[:, :, 5:15, 4:18] = 1
    out, seen = laid(mask, mask, torch.zeros(2, 1, 64, 64).double(), area=area)
    assert out.mean((1, 2, 3)).tolist() == pytest.approx([area] * 2, rel=0.05)
    assert boxes(out)[:, :2].flatten().tolist() == pytest.approx([32] * 4, abs=1)
    assert seen.tolist() == pytest.approx([1, 1], abs=0.02)
    half = laid(mask, mask, torch.zeros(2, 1, 64, 64).double(), area=area, centre=(0.0, 0.5))[1]
    assert half.tolist() == pytest.approx([0.5] * 2, abs=0.03)


def test_rows_that_are_hidden_do_not_count_if_asked():
    mask = torch.zeros(3, 1, 20, 20).double()
    mask[:, :, 5:15, 5:15] = 1
    data = Batches(x=mask, y=torch.zeros(3).long(), more={"mask": mask})
    places = ((0.5, 0.5), (0.0, 0.5))
    found = factor_curve(Brightest(), data, factor="location", values=places, min_visible=1.0)
    assert found.counted.sum(1).tolist() == [3, 0]
    assert len(found.readings()) == 1
    assert found.relative == 1
    with pytest.raises(ConfigError):
        factor_curve(Brightest(), data, factor="location", values=((0.5,),))


def test_informativeness_is_the_partial_correlation_of_ranks():
    g = torch.Generator().manual_seed(5)
    accuracy = torch.rand(30, generator=g)
    metric = accuracy + 0.3 * torch.rand(30, generator=g)
    transfer = metric + 0.1 * torch.rand(30, generator=g)
    m, a, t = (stats.rankdata(v) for v in (metric, accuracy, transfer))
    rm, rt = (v - stats.linregress(a, v).slope * a for v in (m, t))
    partial, added = informativeness(metric, accuracy, transfer)
    assert partial == pytest.approx(stats.pearsonr(rm, rt).statistic)

    def explained(columns):
        design = np.column_stack([*columns, np.ones(30)])
        left = t - design @ np.linalg.lstsq(design, t, rcond=None)[0]
        return 1 - left @ left / ((t - t.mean()) ** 2).sum()

    assert added == pytest.approx(explained([a, m]) - explained([a]))
    with pytest.raises(ShapeError):
        informativeness(metric[:3], accuracy[:3], transfer[:3])


def test_balanced_error_and_what_is_made_of_it():
    from sklearn.metrics import balanced_accuracy_score

    from holdfast.measures.outputs.balanced import (
        balanced_error,
        balanced_error_of_labels,
        excess_relative_to,
        relative_to,
    )

    g = torch.Generator().manual_seed(2)
    y = torch.cat([torch.zeros(80), torch.ones(15), torch.full((5,), 3)]).long()
    z = torch.rand(100, 5, generator=g) + nn.functional.one_hot(y, 5) * 0.6
    found = balanced_error(z, y)
    with pytest.warns(UserWarning):  # answers of classes without rows
        want = 1 - balanced_accuracy_score(y, z.argmax(1))
    assert found.value == pytest.approx(want)
    assert found.low <= found.value <= found.high
    truth, chosen = (torch.rand(50, 3, generator=g) < 0.3 for _ in range(2))
    each = [balanced_accuracy_score(truth[:, k], chosen[:, k]) for k in range(3)]
    assert balanced_error_of_labels(chosen, truth) == pytest.approx(1 - sum(each) / 3)
    with pytest.raises(ShapeError):
        balanced_error_of_labels(chosen, torch.ones(50, 3))
    errors = torch.tensor([0.2, 0.3, 0.4])
    assert relative_to(errors, errors) == 1
    assert excess_relative_to(errors, 0.1, errors, 0.1) == pytest.approx(1)
    assert math.isnan(excess_relative_to(errors, 0.1, torch.full((3,), 0.0953), 0.1009))
