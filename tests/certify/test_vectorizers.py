"""Bounds of text vectors against enumeration, attained cases, scikit-learn and Newton."""

from itertools import combinations, product
from math import log, sqrt

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from holdfast.attacks.all_edits import AllEdits
from holdfast.certify.discrete.vectorized import Vectorized, VectorizerBound
from holdfast.certify.discrete.vectorizers import (
    concat_shift,
    mean_shift,
    paragraph_shift,
    paragraph_vector,
    tfidf,
    tfidf_shift,
)
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.threats.norms import LInf
from holdfast.threats.tokens import Substitutions

G = torch.Generator().manual_seed(0)
VECTORS = torch.randn(7, 3, generator=G, dtype=torch.float64)
IDF = 1 + torch.rand(7, generator=G, dtype=torch.float64)


def changed(ids, edits, vocabulary):
    """Every text with exactly so many places rewritten, some perhaps by the same word."""
    for places in combinations(range(ids.shape[1]), edits):
        for words in product(range(vocabulary), repeat=edits):
            moved = ids.clone()
            moved[:, list(places)] = torch.tensor(words)
            yield moved


def threat(edits, vocabulary=7):
    return Substitutions(edits=edits, vocabulary=vocabulary, blank=-1)


@pytest.mark.parametrize("edits", [1, 2])
@pytest.mark.parametrize("by", ["concat", "mean", "tfidf", "counts"])
def test_no_substitution_moves_a_vector_further(by, edits):
    ids = torch.randint(7, (20, 4), generator=G)
    table = VECTORS if by in ("concat", "mean") else IDF
    model = Vectorized(by, table, nn.Linear(1, 1))
    clean, bound = model.vector(ids), model.shift(ids, threat(edits))
    worst = torch.zeros(20, dtype=torch.float64)
    for moved in changed(ids, edits, 7):
        worst = torch.maximum(worst, (model.vector(moved) - clean).norm(dim=1))
    assert bool((worst <= bound + 1e-12).all())
    share = (worst / bound).amax()
    assert float(share) > 0.7
    if by == "concat":
        assert torch.allclose(worst, bound)  # attained by the most distant words
    assert bool((model.shift(ids, threat(0)) == 0).all())


def test_tables_limit_what_is_offered():
    near = torch.tensor([[w, (w + 1) % 7] for w in range(7)])
    ids = torch.tensor([[2, 5, 5]])
    far = (VECTORS[[2, 5, 5]] - VECTORS[[3, 6, 6]]).norm(dim=1).sort(descending=True).values
    one = Substitutions(edits=2, table=near, blank=-1)
    assert float(concat_shift(VECTORS, ids, one)) == pytest.approx(float(far[:2].norm()))
    assert float(mean_shift(VECTORS, ids, one)) == pytest.approx(float(far[:2].sum()) / 3)
    pad = Substitutions(edits=2, table=near, blank=5)
    assert float(concat_shift(VECTORS, ids, pad)) == pytest.approx(
        float((VECTORS[2] - VECTORS[3]).norm())
    )


def test_the_worst_case_of_plain_counts_is_attained():
    """One word replaced k times by one other of equal weight: sqrt(2) v k."""
    weights, k = torch.full((5,), 1.7, dtype=torch.float64), 3
    ids = torch.tensor([[1, 1, 1, 1]])
    moved = torch.tensor([[2, 2, 2, 1]])
    far = tfidf(weights, moved, normalised=False) - tfidf(weights, ids, normalised=False)
    assert float(far.norm()) == pytest.approx(sqrt(2) * 1.7 * k)
    bound = tfidf_shift(weights, ids, threat(3, 5), normalised=False)
    assert float(bound) == pytest.approx(sqrt(2) * 1.7 * k)
    assert float(tfidf_shift(weights, ids, threat(4, 5))) == pytest.approx(sqrt(2))
    with pytest.raises(ConfigError, match="positive"):
        tfidf_shift(torch.zeros(5), ids, threat(1, 5))


def test_tfidf_is_scikit_learns():
    texts = ["a b b c", "c c d a", "e a a a"]
    theirs = TfidfVectorizer(token_pattern=r"\w").fit(texts)
    words = list(theirs.get_feature_names_out())
    ids = torch.tensor([[words.index(w) for w in t.split()] for t in texts])
    want = torch.tensor(theirs.transform(texts).toarray())
    assert torch.allclose(tfidf(torch.tensor(theirs.idf_), ids), want)


def zipf(rows, length, words=200):
    chance = 1 / torch.arange(1, words + 1, dtype=torch.float64)
    return torch.multinomial(chance.expand(rows, -1), length, replacement=True, generator=G)


def test_long_texts_are_moved_less():
    """Random and greedy substitutions in Zipf texts stay below; the mean move falls with length."""
    weights = 1 + torch.rand(200, generator=G, dtype=torch.float64)
    means = {}
    for length in (10, 40, 160, 640):
        ids = zipf(40, length)
        clean, moves = tfidf(weights, ids), []
        for k in (1, 4, 8):
            bound = tfidf_shift(weights, ids, threat(k, 200))
            for trial in range(6):
                moved = ids.clone()
                fresh = zipf(40, k) if trial else torch.full((40, k), int(weights.argmax()))
                moved[:, :k] = fresh
                far = (tfidf(weights, moved) - clean).norm(dim=1)
                assert bool((far <= bound + 1e-12).all())
                moves.append(far.mean())
        means[length] = float(torch.stack(moves).mean())
    slope = (log(means[640]) - log(means[10])) / (log(640) - log(10))
    assert -1.05 < slope < -0.45


def test_paragraph_vectors_move_less_than_their_bound():
    outputs = torch.randn(30, 4, generator=G, dtype=torch.float64)
    spread, ridge = float(torch.cdist(outputs, outputs).max()), 0.5
    products = []
    for length in (10, 40, 160):
        ids = torch.randint(30, (50, length), generator=G)
        q = paragraph_vector(outputs, ids, ridge)
        q.requires_grad_()
        every = -((q @ outputs.T).log_softmax(1).gather(1, ids)).mean(1)
        (slope,) = torch.autograd.grad((every + ridge / 2 * q.square().sum(1)).sum(), q)
        assert float(slope.abs().max()) < 1e-9
        for k in (1, 3):
            moved = ids.clone()
            moved[:, :k] = torch.randint(30, (50, k), generator=G)
            far = (paragraph_vector(outputs, moved, ridge) - q.detach()).norm(dim=1)
            assert float(far.max()) <= paragraph_shift(spread, ridge, length, k)
            if k == 1:
                products.append(float(far.mean()) * length)
    assert max(products) < 2 * min(products)
    assert paragraph_shift(2.0, 0.5, 10, 1, window=2) == pytest.approx(2.0)
    for bad in ((-1.0, 1.0, 5, 1), (1.0, 0.0, 5, 1), (1.0, 1.0, 0, 1)):
        with pytest.raises(ConfigError):
            paragraph_shift(*bad)


@pytest.mark.parametrize("by", ["concat", "mean", "tfidf", "counts"])
def test_exhaustive_search_breaks_no_certificate(by):
    ids = torch.randint(7, (40, 5), generator=G)
    table = VECTORS if by in ("concat", "mean") else IDF
    head = nn.Linear(Vectorized(by, table, nn.Linear(1, 1)).vector(ids).shape[1], 3).double()
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=G, dtype=torch.float64))
        head.bias.copy_(torch.tensor([0.0, 12.0, -9.0]))
    model = Vectorized(by, table, head)
    goal = Untargeted(model(ids).argmax(1))
    found = VectorizerBound()(model, ids, goal, threat(1))
    broken = search(AllEdits(), model, ids, goal, threat(1)).broken
    assert not bool((broken & found.proved).any())
    assert bool(found.proved.any())


def test_other_models_threats_and_inputs_are_refused():
    ids = torch.randint(7, (2, 4), generator=G)
    model = Vectorized("mean", VECTORS, nn.Linear(3, 2).double())
    goal = Untargeted(torch.zeros(2).long())
    for thing, what in ((model.head, threat(1)), (model, LInf(radius=0.1))):
        with pytest.raises(Unsupported):
            VectorizerBound()(thing, ids, goal, what)
    with pytest.raises(ShapeError):
        model(ids.double())
    broken = Vectorized("mean", VECTORS * torch.nan, model.head)
    assert not bool(VectorizerBound()(broken, ids, goal, threat(1)).proved.any())
