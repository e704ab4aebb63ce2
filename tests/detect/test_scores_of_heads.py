"""Detectors on the last layer against bare formulas and their limits."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.kinds import readings
from holdfast.detect.confidence import Energy, GeneralizedEntropy, KLMatching, MaxLogit, MaxSoftmax
from holdfast.detect.distance import Mahalanobis
from holdfast.detect.head import head
from holdfast.detect.odin import ODIN
from holdfast.detect.shaped import ASH, DICE, ReAct, shaped
from holdfast.detect.vim import ViM, principal
from holdfast.measures.outputs.separation import separation

G = torch.Generator().manual_seed(0)
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    MODEL = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()
X = torch.randn(90, 5, generator=G, dtype=torch.float64)
TRUSTED = Batches(x=X[:60], y=torch.arange(60) % 3, size=16)
with torch.no_grad():
    H, Z = MODEL[:2](X), MODEL(X)
W, B = MODEL[2].weight.detach(), MODEL[2].bias.detach()


def energy(h, t=1.0):
    return -t * torch.logsumexp((h @ W.T + B) / t, 1)


def test_head_is_the_last_layer_or_refused():
    own = head(MODEL, TRUSTED)
    assert torch.allclose(own(H), Z)
    for bad in (nn.Sequential(MODEL, nn.Softmax(1)), lambda x: x):
        with pytest.raises(Unsupported):
            head(bad, TRUSTED)
    with pytest.raises(Unsupported):
        head(MODEL, TRUSTED.take(slice(0, 0)))


def test_max_logit_lies_within_log_k_of_the_energy():
    top = MaxLogit().fit(MODEL, TRUSTED)(X)
    assert torch.equal(top, -Z.amax(1))
    gap = top - Energy().fit(MODEL, TRUSTED)(X)
    assert bool(((gap >= 0) & (gap <= np.log(3) + 1e-12)).all())


def test_generalized_entropy_and_kl_matching_by_formula():
    p = Z.softmax(1)
    got = GeneralizedEntropy(power=0.3, top=2).fit(MODEL, TRUSTED)(X)
    top = p.sort(1, descending=True).values[:, :2]
    assert torch.allclose(got, ((top * (1 - top)) ** 0.3).sum(1))
    answer = Z[:60].argmax(1)
    means = torch.stack([p[:60][answer == k].mean(0) for k in answer.unique()])
    want = (p[:, None] * (p[:, None] / means).log()).sum(2).amin(1)
    assert torch.allclose(KLMatching().fit(MODEL, TRUSTED)(X), want, atol=1e-9)


def test_react_cuts_at_a_quantile_and_is_energy_at_share_one():
    known = H[:60].flatten()
    got = ReAct(share=0.8).fit(MODEL, TRUSTED)(X)
    assert torch.allclose(got, energy(H.clamp(max=float(known.quantile(0.8)))))
    same = ReAct(share=1.0).fit(MODEL, TRUSTED)(X[:60])
    assert torch.allclose(same, Energy().fit(MODEL, TRUSTED)(X[:60]))


def test_ash_variants_row_by_row():
    for row in H[:20]:
        t = np.percentile(row.numpy(), 60)
        kept = torch.where(row >= t, row, 0.0)
        ratio = float(row.sum() / max(float(kept.sum()), 1e-12))
        want = {
            "prune": kept,
            "binary": (row >= t) * row.sum() / (row >= t).sum(),
            "scale-up": kept * np.exp(ratio),
            "scale": row * np.exp(ratio),
        }
        for variant, expected in want.items():
            assert torch.allclose(shaped(row[None], variant, 0.6)[0], expected), variant
    assert torch.allclose(shaped(H, "prune", 0.0), H)
    assert bool(shaped(H * 0, "scale-up", 0.6).isfinite().all())  # nothing survives


def test_ash_refuses_negative_features():
    tanh = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with pytest.raises(Unsupported):
        ASH().fit(tanh, TRUSTED)
    assert bool(ASH(variant="prune").fit(tanh, TRUSTED)(X).isfinite().all())


def test_dice_keeps_the_largest_products():
    got = DICE(share=0.5).fit(MODEL, TRUSTED)(X)
    product = (W * H[:60].mean(0)).flatten()
    keep = torch.zeros(24).double()
    keep[product.topk(12).indices] = 1
    assert torch.allclose(got, -torch.logsumexp(H @ (W * keep.view(3, 8)).T + B, 1))
    assert torch.allclose(DICE(share=0.0).fit(MODEL, TRUSTED)(X), energy(H))


def test_vim_by_formula_and_its_residual():
    got = ViM(dimension=5).fit(MODEL, TRUSTED)(X).numpy()
    origin = -np.linalg.pinv(W.numpy()) @ B.numpy()
    moved = H.numpy() - origin
    values, vectors = np.linalg.eigh(moved[:60].T @ moved[:60] / 60)
    rest = vectors[:, np.argsort(-values)[5:]]
    length = np.linalg.norm(moved @ rest, axis=1)
    scale = max(0.0, Z[:60].amax(1).mean().item()) / length[:60].mean()
    assert np.allclose(got, scale * length - np.logaddexp.reduce(Z.numpy(), 1), atol=1e-8)
    whole = ViM(dimension=8).fit(MODEL, TRUSTED)(X)  # nothing lies outside: energy remains
    assert torch.allclose(whole, energy(H))
    assert [principal(d) for d in (10, 769, 2048)] == [5, 512, 1000]


def test_odin_moves_so_that_confidence_rises():
    still = ODIN(step=0.0, temperature=1.0).fit(MODEL, TRUSTED)(X)
    assert torch.allclose(still, MaxSoftmax().fit(MODEL, TRUSTED)(X))
    moved = ODIN(step=1e-4, temperature=1.0).fit(MODEL, TRUSTED)(X)
    assert bool((moved <= still + 1e-12).all()) and bool((moved < still).any())
    with torch.no_grad():
        assert torch.equal(ODIN(step=1e-4, temperature=1.0).fit(MODEL, TRUSTED)(X), moved)
    with pytest.raises(Unsupported):
        ODIN().fit(MODEL, TRUSTED)(torch.ones(2, 5, dtype=torch.int64))


def test_relative_mahalanobis_takes_the_common_distance_off():
    both = [Mahalanobis(relative=r, layer="0").fit(MODEL, TRUSTED)(X) for r in (False, True)]
    with torch.no_grad():
        h = MODEL[0](X).numpy()
    rest = h[:60] - h[:60].mean(0)
    spread = rest.T @ rest / 60
    spread += 1e-3 * np.trace(spread) / 8 * np.eye(8)
    gap = h - h[:60].mean(0)
    common = np.einsum("nd,de,ne->n", gap, np.linalg.inv(spread), gap)
    assert np.allclose((both[0] - both[1]).numpy(), common)


def test_separation_against_scikit_learn():
    known = torch.randint(9, (80,), generator=G).double()
    strange = torch.randint(4, 13, (50,), generator=G).double()
    found = separation(known, strange, draws=20)
    truth = np.r_[np.zeros(80), np.ones(50)]
    scores = torch.cat([known, strange]).numpy()
    assert found.auroc == pytest.approx(roc_auc_score(truth, scores))
    assert found.aupr_out == pytest.approx(average_precision_score(truth, scores))
    assert found.aupr_in == pytest.approx(average_precision_score(1 - truth, -scores))
    assert found.auroc == pytest.approx(1 - separation(strange, known).auroc)
    level = np.sort(known.numpy())[75]  # 76 of 80 rows pass
    assert found.fpr95 == pytest.approx(float((strange.numpy() <= level).mean()))
    assert [r.name for r in readings(found)][1] == "separation.fpr95"


def test_separation_refuses_what_it_cannot_rank():
    ones = torch.ones(4)
    assert separation(ones, ones * torch.inf).auroc == 1.0
    for a, b in ((ones[:0], ones), (ones, ones * torch.nan)):
        with pytest.raises(ShapeError):
            separation(a, b)
    with pytest.raises(ConfigError):
        separation(ones, ones, draws=0)
    equal = separation(ones, ones)
    assert (equal.auroc, equal.fpr95, equal.aupr_out, equal.error) == (0.5, 1.0, 0.5, 0.5)
