"""CertDR against enumeration of versions and of substitutions on a tiny vocabulary."""

from itertools import product

import pytest
import torch
from scipy.stats import binom

from holdfast.attacks.all_edits import AllEdits
from holdfast.certify.discrete.certdr import CertDR, averaged, shifts
from holdfast.certify.discrete.ranking import certified_queries, certified_top
from holdfast.certify.discrete.synonyms import SynonymSmoothed
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import AtLeast, Refuses, Untargeted
from holdfast.run.search import search
from holdfast.threats.norms import LInf
from holdfast.threats.tokens import Substitutions

# Twelve words in four classes of synonyms of sizes 1 (padding), 3, 4 and 4. Words may
# replace their neighbours; each is redrawn from those up to two places away in its class.
CLASSES = ([0], [1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11])
CLASS = {w: c for c in CLASSES for w in c}


def near(w, far, fill):
    """Words up to so many places away in the class, fill anywhere."""
    group = CLASS[w]
    place = range(group.index(w) - far, group.index(w) + far + 1)
    return [group[i] if 0 <= i < len(group) else fill for i in place]


TABLE = torch.tensor([near(w, 1, w) for w in range(12)])
SETS = torch.tensor([near(w, 2, -1) for w in range(12)])
THREAT = Substitutions(edits=2, table=TABLE)


def scorer(seed, sharp=1.0):
    g = torch.Generator().manual_seed(seed)
    weight = sharp * torch.randn(12, generator=g, dtype=torch.float64)
    return lambda ids: weight[ids].sum(1)


def texts(rows, seed, length=4):
    return torch.randint(0, 12, (rows, length), generator=torch.Generator().manual_seed(seed))


def every_change(text, edits):
    """All texts with at most so many words replaced by synonyms."""
    choices = [sorted(set(TABLE[int(w)].tolist())) for w in text]
    found = torch.tensor(list(product(*choices)))
    return found[(found != text).sum(1) <= edits]


def test_sets_overlap_as_counted_by_hand():
    model = SynonymSmoothed(scorer(0), SETS)
    one, two = torch.tensor([4, 4, 5, 1, 8]), torch.tensor([5, 7, 5, 2, 4])
    assert model.overlap(one, two).tolist() == [3 / 4, 2 / 3, 1, 1, 0]  # {4,5,6} and all
    for bad in (TABLE, SETS.double(), SETS[:, :2]):
        with pytest.raises(ConfigError):
            SynonymSmoothed(scorer(0), bad)


def test_the_mean_is_that_of_all_versions_and_draws_are_uniform():
    text = torch.tensor([[4, 1, 9, 0]])
    exact = SynonymSmoothed(scorer(1), SETS)
    made = [[a, b, c, 0] for a in (4, 5, 6) for b in (1, 2, 3) for c in (8, 9, 10, 11)]
    want = scorer(1)(torch.tensor(made)).sigmoid().mean()
    assert float(exact(text)) == pytest.approx(float(want))
    drawn = SynonymSmoothed(scorer(1), SETS, samples=20000)(text)
    assert float(drawn) == pytest.approx(float(want), abs=0.01)
    u = torch.rand(30000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = exact.drawn(torch.full((30000, 1), 9), u).flatten().bincount(minlength=12) / 30000
    assert seen[8:].tolist() == pytest.approx([1 / 4] * 4, abs=0.01)
    batch = Batch(text.repeat(8, 1), torch.zeros(8), torch.arange(8))
    assert set(exact.noisy(batch, Dice.of(8)).x[:, 3].tolist()) == {0}
    with pytest.raises(Unsupported, match="versions"):
        SynonymSmoothed(scorer(1), SETS, most=5)(text)


@pytest.mark.parametrize("edits", [0, 1, 2, 4])
def test_no_substitution_moves_a_mean_by_more_than_its_shift(edits):
    threat, x = Substitutions(edits=edits, table=TABLE), texts(10, 2)
    reached = 0.0
    for seed in range(4):
        model = SynonymSmoothed(scorer(seed, 4.0), SETS)
        bound = shifts(model, x, threat)
        clean = model(x)[:, 0]
        for row, text in enumerate(x):
            moved = (model(every_change(text, edits))[:, 0] - clean[row]).abs().amax()
            assert moved <= bound[row] + 1e-12
            if bound[row] > 0:
                reached = max(reached, float(moved / bound[row]))
    assert edits == 0 or reached > (0.6 if edits == 1 else 0.3)


def test_dividing_by_the_first_set_alone_would_be_false():
    """Word 4 is drawn from {4, 5, 6}, word 5 from {4, 5, 6, 7}: the first set is in the second."""
    model = SynonymSmoothed(lambda ids: torch.where(ids == 7, 50.0, -50.0).amax(1), SETS)
    moved = float(model(torch.tensor([[5]])) - model(torch.tensor([[4]])))
    wrong = 1 - 3 / 3
    assert moved == pytest.approx(1 / 4)
    assert moved > wrong
    one = Substitutions(edits=1, table=TABLE)
    assert float(shifts(model, torch.tensor([[4]]), one)) == pytest.approx(1 / 4)


def test_exhaustive_search_breaks_no_certificate():
    x = texts(30, 5)
    model = SynonymSmoothed(scorer(6), SETS)
    level = model(x)[:, 0] + torch.linspace(-0.2, 0.8, 30, dtype=torch.float64)
    found = CertDR()(model, x, AtLeast(level), THREAT)
    assert found.confidence == 1
    assert bool(found.proved.any())
    assert not bool(found.proved.all())
    assert not bool(search(AllEdits(), model, x, AtLeast(level), THREAT).broken[found.proved].any())
    weights = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    classes = SynonymSmoothed(lambda ids: weights[ids].sum(1), SETS)
    goal = Untargeted(classes(x).argmax(1))
    one = Substitutions(edits=1, table=TABLE)
    proved = CertDR()(classes, x, goal, one).proved
    assert bool(proved.any())
    assert not bool(search(AllEdits(), classes, x, goal, one).broken[proved].any())


def test_estimates_are_wrong_no_more_often_than_alpha():
    """Levels at the exact mean, radius 0: proving there is always wrong."""
    x = texts(1, 7).repeat(1000, 1)
    exact = SynonymSmoothed(scorer(8), SETS)
    level = exact(x[:1])[0].expand(1000)
    drawn = SynonymSmoothed(scorer(8), SETS, samples=5)
    nothing = Substitutions(edits=0, table=TABLE)
    found = CertDR(samples=40, alpha=0.2)(drawn, x, AtLeast(level), nothing)
    assert found.confidence == 0.8
    assert int(found.proved.sum()) <= binom.ppf(1 - 1e-4, 1000, 0.2)
    bare = averaged(drawn, x, 40, Dice.of(1000))[0][:, 0] < level
    assert int(bare.sum()) > 400  # without the bound it would be every other one


def test_a_base_of_single_precision_that_answers_differently_in_another_batch_is_allowed_for():
    """The second evaluation lies four units of rounding higher, as another order of sums may."""
    x, calls = texts(3, 11), []

    def base(ids):
        calls.append(len(ids))
        return scorer(3)(ids).float().abs() * (1 + 2**-21 * (len(calls) > len(x)))

    model = SynonymSmoothed(base, SETS)
    goal = AtLeast(model(x)[:, 0] + 1e-8)
    nothing = Substitutions(edits=0, table=TABLE)
    calls.clear()
    found = CertDR()(model, x, goal, nothing)
    assert bool((goal(model(x)) >= 0).all())  # what was proved would not hold
    assert not bool(found.proved.any())
    calls.clear()
    far = AtLeast(model(x)[:, 0] + 1e-4)
    assert bool(CertDR()(model, x, far, nothing).proved.all())


def test_answers_of_a_net_differ_between_batches_by_less_than_is_allowed_for():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Embedding(12, 64), torch.nn.Flatten(), torch.nn.Linear(256, 512), torch.nn.ReLU(),
        torch.nn.Linear(512, 3),
    )  # fmt: skip
    model, ids = SynonymSmoothed(net, SETS), texts(300, 12)
    with torch.no_grad():
        every, apart = model.answers(ids)
        alone = torch.cat([model.probabilities(row[None]) for row in ids])
    assert bool(((every - alone).abs().amax(1) <= apart).all())


def test_certified_rankings_are_never_broken():
    held, documents, queries = 0, [], []
    one = Substitutions(edits=1, table=TABLE)
    for seed in range(40):
        model = SynonymSmoothed(scorer(seed, 4.0), SETS)
        docs = texts(6, 100 + seed)
        for k in (1, 3):
            top = certified_top(model, docs, k, one)
            if not top.certified:
                continue
            held += 1
            least = model(docs[top.rows]).min()
            outside = [i for i in range(6) if i not in top.rows.tolist()]
            for i in outside:
                assert float(model(every_change(docs[i], 1)).max()) < float(least)
        queries.append(certified_top(model, docs, 1, one))
        documents.append(docs)
    assert held > 5
    reading = certified_queries(queries)
    assert reading.n == 40
    assert reading.value == sum(q.certified for q in queries) / 40
    drawn = SynonymSmoothed(scorer(0, 1.5), SETS, samples=3)
    loose = certified_top(drawn, documents[0], 1, THREAT, samples=200)
    assert loose.confidence == 0.95
    assert loose.margin < certified_top(SynonymSmoothed(scorer(0, 1.5), SETS), documents[0], 1,
                                        THREAT).margin  # fmt: skip
    for k in (0, 6):
        with pytest.raises(ConfigError):
            certified_top(model, docs, k, THREAT)


def test_broken_scores_and_foreign_questions_prove_nothing():
    x = texts(4, 9)
    broken = SynonymSmoothed(lambda ids: scorer(0)(ids) * torch.nan, SETS)
    goal = AtLeast(torch.full((4,), 2.0))
    assert not bool(CertDR()(broken, x, goal, THREAT).proved.any())
    assert not certified_top(broken, x, 1, THREAT).certified
    good = SynonymSmoothed(scorer(0), SETS)
    for model, question, threat in (
        (scorer(0), goal, THREAT),
        (good, goal, LInf(radius=0.1)),
        (good, Refuses(torch.zeros(4).long(), (1,)), THREAT),
    ):
        with pytest.raises(Unsupported):
            CertDR()(model, x, question, threat)
