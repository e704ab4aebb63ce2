"""Neighbours, filtration and image quality against brute force, SciPy and identities."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg, stats
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import readings
from holdfast.measures.data.confounding import centred, robustness_index
from holdfast.measures.data.filtration import (
    adversarial_filtration,
    ood_filtration,
    restricted,
    rms_calibration,
)
from holdfast.measures.data.likeness import (
    edge_distance,
    feature_distance,
    frechet,
    ssim,
    texture_distance,
)
from holdfast.measures.data.quality import asymmetry, fitted, judged, quality_assessment

G = torch.Generator().manual_seed(0)
Z = torch.randn(50, 6, generator=G, dtype=torch.float64)
CLASS, CENTRE = torch.arange(50) % 3, torch.randint(4, (50,), generator=G)


@pytest.mark.parametrize("cosine", [True, False])
def test_neighbours_by_brute_force(cosine):
    found = robustness_index(Z, CLASS, CENTRE, k=7, cosine=cosine)
    want = np.zeros(4)
    for i in range(50):
        if cosine:
            near = torch.nn.functional.cosine_similarity(Z[i : i + 1], Z)
        else:
            near = -(Z - Z[i]).norm(dim=1)
        near[i] = -math.inf
        for j in near.argsort(descending=True)[:7].tolist():
            want[2 * int(CLASS[i] != CLASS[j]) + int(CENTRE[i] != CENTRE[j])] += 1
    assert found.counts().tolist() == want.tolist() and want.sum() == 350
    ss, so, os, _ = want
    assert found.index() == pytest.approx(so / (so + os))
    assert found.ratio() == pytest.approx((ss + so) / (ss + os))
    swapped = robustness_index(Z, CENTRE, CLASS, k=7, cosine=cosine)
    assert swapped.index() == pytest.approx(1 - found.index())
    assert swapped.ratio() == pytest.approx(1 / found.ratio())
    assert [r.name.split(".")[1] for r in readings(found)][:2] == ["index", "ratio"]


def test_excluded_rows_and_too_many_neighbours():
    slide = torch.arange(50) // 10
    found = robustness_index(Z, CLASS, slide, exclude=slide, k=500)
    ss, so, os, oo = found.counts().tolist()
    assert ss == os == 0 and so + oo == 50 * 40  # nobody from the same slide is left
    assert found.index() == 1.0
    for bad in ({"y": CLASS[:3]}, {"embedding": Z * torch.nan}):
        with pytest.raises(ShapeError):
            robustness_index(**({"embedding": Z, "y": CLASS, "centre": CENTRE} | bad))
    with pytest.raises(ConfigError):
        robustness_index(Z, CLASS, CENTRE, k=0)


def test_centred_embeddings_have_one_mean_and_spread():
    moved = centred(Z + 3 * CENTRE[:, None], CENTRE, scale=True)
    for c in range(4):
        own = moved[CENTRE == c]
        assert torch.allclose(own.mean(0), moved.mean(0), atol=1e-9)
        spread = own.var(0, unbiased=False)
        assert torch.allclose(spread, moved[CENTRE == 0].var(0, unbiased=False), atol=1e-9)


def test_filtration_keeps_what_fools_all_models():
    x = torch.randn(300, 4, generator=G)
    y = torch.randint(3, (300,), generator=G)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        models = [nn.Linear(4, 3), nn.Linear(4, 3)]
    rows = adversarial_filtration(models, Batches(x=x, y=y), most=0.3).rows
    with torch.no_grad():
        p = torch.stack([m(x).softmax(1) for m in models])
    own = p[:, torch.arange(300), y].amax(0)
    want = ((p.argmax(2) != y).all(0) & (own < 0.3)).nonzero().flatten()
    assert rows.tolist() == want.tolist() and len(rows)
    few = adversarial_filtration(models, Batches(x=x, y=y), most=0.3, per_class=2).rows
    assert set(few.tolist()) < set(rows.tolist()) and y[few].bincount().max() == 2
    least = own[few][y[few] == 0].max()
    assert (own[rows][y[rows] == 0] <= least + 1e-9).sum() == (y[few] == 0).sum()
    blind = Batches(x=x, y=torch.where(torch.arange(300) < 150, -100, y))
    assert set(adversarial_filtration(models, blind, most=0.3).rows.tolist()) == {
        i for i in rows.tolist() if i >= 150
    }
    with pytest.raises(ConfigError):
        adversarial_filtration(models, blind, most=1.5)
    with pytest.raises(ShapeError):
        adversarial_filtration([], blind)
    with pytest.raises(ShapeError):
        adversarial_filtration(models, Batches(x=x, y=torch.full((300,), -100)))
    sure = ood_filtration(models[0], blind, least=0.6)
    assert sure.tolist() == (p[0].amax(1) >= 0.6).nonzero().flatten().tolist()


def test_restricted_logits_answer_as_masked_ones():
    classes = torch.tensor([1, 4, 5])
    masked = torch.full_like(Z, -torch.inf)
    masked[:, classes] = Z[:, classes]
    assert torch.equal(classes[restricted(Z, classes).argmax(1)], masked.argmax(1))


def test_rms_counts_every_bin():
    g = torch.Generator().manual_seed(3)
    sure = torch.rand(250, generator=g, dtype=torch.float64) / 2 + 0.5
    wrong = (torch.rand(250, generator=g) < 0.4).long()
    z = torch.stack([sure, 1 - sure], 1).log()
    order = sure.argsort()
    bins = torch.arange(250) * 3 // 250  # three bins for about 100 rows each
    gaps = [
        (bins == m).double().mean() * (sure[order] - 1 + wrong[order])[bins == m].mean() ** 2
        for m in range(3)
    ]
    assert rms_calibration(z, wrong, draws=1).error.value == pytest.approx(
        float(sum(gaps)) ** 0.5, abs=1e-12
    )


def test_quality_against_scipy():
    predicted = torch.rand(60, generator=G).double()
    opinion = (4 * predicted - 2).sigmoid() + 0.05 * torch.randn(60, generator=G).double()
    found = quality_assessment(predicted, opinion, draws=10)
    a, b = predicted.numpy(), opinion.numpy()
    assert found.values[0] == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.values[1] == pytest.approx(stats.kendalltau(a, b).statistic)
    assert found.values[2] == pytest.approx(stats.pearsonr(fitted(predicted, opinion), b).statistic)
    assert found.values[2] >= stats.pearsonr(a, b).statistic - 1e-9
    bent = torch.linspace(-3, 3, 40).double()
    curve = 3 * ((4 * bent).sigmoid() - 0.5) + 1
    assert float((fitted(bent, curve) - curve).abs().max()) < 1e-3
    assert quality_assessment(predicted * 0, opinion, draws=2).srcc == 0.0
    for bad in (
        (predicted[:2], opinion[:2]),
        (predicted, opinion[:9]),
        (predicted * torch.nan, opinion),
    ):
        with pytest.raises(ShapeError):
            quality_assessment(*bad)


def test_ranks_by_other_judges():
    results = {
        "a": {"a": 9.0, "b": 1.0, "c": 3.0},
        "b": {"a": 1.0, "b": 9.0, "c": 2.0},
        "c": {"a": 2.0, "b": 0.0, "c": 9.0},
    }
    found = judged(results)
    assert found["a"] < found["b"] and found["a"] < found["c"]  # b and c both rank it first
    same = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert asymmetry(same, same) == pytest.approx(0.0)
    assert asymmetry(same, {"a": 3.0, "b": 2.0, "c": 1.0}) == pytest.approx(2.0)


def layers(x):
    return [x, torch.cat([x, x * x], 1)]


def test_likeness_of_equal_images_and_order_of_others():
    x = torch.rand(3, 2, 12, 12, generator=G).double()
    blur = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    assert torch.allclose(ssim(x, x), torch.ones(3).double())
    assert bool((ssim(blur, x) < 0.95).all())
    for distance in (edge_distance, lambda a, b: feature_distance(a, b, layers),
                     lambda a, b: texture_distance(a, b, layers)):  # fmt: skip
        assert torch.allclose(distance(x, x), torch.zeros(3).double(), atol=1e-9)
        near, far = distance((x + blur) / 2, x), distance(blur, x)
        assert bool((0 < near).all()) and bool((near < far).all())
    assert ssim(x[..., :1, :1], x[..., :1, :1]).tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(ShapeError):
        ssim(x, x[:2])


def test_ssim_by_one_window():
    a, b = torch.rand(2, 1, 1, 5, 5, generator=G).double()
    w = np.exp(-0.5 * (np.arange(5) - 2) ** 2 / 1.5**2)
    w = np.outer(w, w) / w.sum() ** 2
    p, q = a[0, 0].numpy(), b[0, 0].numpy()
    mp, mq = (w * p).sum(), (w * q).sum()
    vp, vq = (w * p * p).sum() - mp**2, (w * q * q).sum() - mq**2
    both = (w * p * q).sum() - mp * mq
    want = (2 * mp * mq + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
    assert float(ssim(a, b, window=5)) == pytest.approx(want, abs=1e-12)


def test_frechet_of_gaussians():
    a = torch.randn(400, 3, generator=G, dtype=torch.float64)
    b = a @ torch.diag(torch.tensor([1.0, 2.0, 0.5]).double()) + 1
    c, d = np.cov(a.numpy().T), np.cov(b.numpy().T)
    want = float(((a.mean(0) - b.mean(0)) ** 2).sum()) + np.trace(
        c + d - 2 * linalg.sqrtm(c @ d).real
    )
    assert frechet(a, b) == pytest.approx(want, abs=1e-6)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet(a[:, :1], a[:, :1] + 2) == pytest.approx(4.0, abs=1e-9)
    with pytest.raises(ShapeError):
        frechet(a[:1], b)
