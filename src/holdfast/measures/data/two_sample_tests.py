"""Tests of whether two samples come from one distribution, each a p-value per question asked."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.inputs import some_rows
from holdfast.ops.two_samples import arranged_mmd2

Correction = Literal["bonferroni", "holm", "bh"]


class Tested(NamedTuple):
    """What a test found.

    Args:
        statistic: `(q,)` one number per question; larger means further apart.
        p: `(q,)` p-values.
        score: `(n,)` how foreign each row of the sample looks, where the test can say so.
    """

    statistic: Tensor
    p: Tensor
    score: Tensor | None = None


def adjusted(p: Tensor, correction: Correction) -> Tensor:
    """p-values of many questions, raised so that they may be held against one level.

    `bonferroni` and `holm` bound the chance of any false alarm (`holm` is never weaker); `bh`
    (Benjamini and Hochberg) the expected share of false ones among the alarms.

    Args:
        p: `(q,)`.
        correction: which.
    """
    count = len(p)
    if correction == "bonferroni":
        return (p * count).clamp(max=1)
    ordered, order = p.sort()
    rank = torch.arange(1, count + 1, device=p.device)
    if correction == "holm":
        raised = (ordered * (count + 1 - rank)).cummax(0).values
    else:
        raised = (ordered * count / rank).flip(0).cummin(0).values.flip(0)
    return torch.empty_like(p).scatter(0, order, raised.clamp(max=1))


def kolmogorov_smirnov(sample: Tensor, reference: Tensor) -> Tested:
    """Largest distance of the two distribution functions of each feature, with its p-value.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
    """
    from scipy.stats import ks_2samp

    a, b = sample.cpu().numpy(), reference.cpu().numpy()
    found = [ks_2samp(a[:, j], b[:, j]) for j in range(a.shape[1])]
    return Tested(
        torch.tensor([float(f.statistic) for f in found], dtype=torch.float64),
        torch.tensor([float(f.pvalue) for f in found], dtype=torch.float64),
    )


def chi_square(sample: Tensor, reference: Tensor) -> Tested:
    """Pearson's test of the counts of each value, one column of whole numbers at a time.

    Args:
        sample: `(n, d)` whole numbers, such as predicted labels.
        reference: `(m, d)`.
    """
    from scipy.stats import chi2_contingency

    found = []
    for a, b in zip(sample.T, reference.T, strict=True):
        values = torch.cat([a, b]).unique()
        counts = [[int((part == v).sum()) for v in values] for part in (a, b)]
        same = len(values) == 1  # nothing to compare
        test = None if same else chi2_contingency(counts, correction=False)
        found.append((0.0, 1.0) if test is None else (float(test.statistic), float(test.pvalue)))
    pairs = torch.tensor(found, dtype=torch.float64)
    return Tested(pairs[:, 0], pairs[:, 1])


def mmd(sample: Tensor, reference: Tensor, *, permutations: int, seed: int) -> Tested:
    """Maximum mean discrepancy of all features together, against random arrangements.

    Args:
        sample: `(n, d)`.
        reference: `(m, d)`.
        permutations: random arrangements.
        seed: of the arrangements.
    """
    values = arranged_mmd2(sample[None], reference[None], permutations=permutations, seed=seed)[0]
    p = (values >= values[0] - 1e-12).double().mean()
    return Tested(values[:1].double(), p[None])


def classifier(
    sample: Tensor, reference: Tensor, *, kind: Literal["linear", "mlp"], seed: int
) -> Tested:
    """How well a classifier tells the samples apart on rows that it has not seen.

    It learns from half the rows of each; on the others the chance that a row of the sample gets
    the higher score (AUROC) is tested against one half by Mann and Whitney, which holds for
    samples of unequal sizes too.

    Args:
        sample: `(n, d)`, at least four rows.
        reference: `(m, d)`, as many.
        kind: logistic regression, or a net of one hidden layer.
        seed: of the halves and the net.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    least = 4
    some_rows(sample, "a classifier (sample)", least)
    some_rows(reference, "a classifier (reference)", least)
    halves = []
    for word, rows in (("sample", sample), ("reference", reference)):
        order = torch.randperm(len(rows), generator=Dice.of(0, seed).generator(word))
        halves.append((rows.cpu()[order[::2]], rows.cpu()[order[1::2]]))
    (a, c), (b, d) = halves
    machine = (
        LogisticRegression(max_iter=200) if kind == "linear"
        else MLPClassifier((32,), alpha=1e-2, max_iter=200, random_state=seed)
    )  # fmt: skip
    model = make_pipeline(StandardScaler(), machine)
    model.fit(torch.cat([a, b]).numpy(), torch.tensor([1] * len(a) + [0] * len(b)).numpy())
    mine, theirs = (model.predict_proba(t.numpy())[:, 1] for t in (c, d))
    found = mannwhitneyu(mine, theirs, alternative="greater")
    area = float(found.statistic) / (len(c) * len(d))
    score = torch.as_tensor(model.predict_proba(sample.cpu().numpy())[:, 1])
    return Tested(
        torch.tensor([area]).double(), torch.tensor([float(found.pvalue)]).double(), score
    )
