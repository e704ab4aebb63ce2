"""Does the order of the documents survive changed queries and edited documents?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, Inner, Natural, Part, ingredient, settings
from holdfast.core.goal import AtLeast, logits
from holdfast.core.kinds import Attack, Check
from holdfast.core.quiet import quiet
from holdfast.core.records import Figure, Finding, Severity, Subject
from holdfast.measures.outputs.ranking import Promoted, ranking_robustness
from holdfast.measures.outputs.retrieval import drop_rate, rank_of
from holdfast.run.search import search
from holdfast.shifts.text.edit import edited
from holdfast.shifts.text.reword import QUERIES, edit_named
from holdfast.threats.tokens import Substitutions
from holdfast.threats.words import Candidates, Words

Ranker = Callable[[Sequence[str], Sequence[str]], Tensor]


@dataclass(frozen=True, eq=False)
class Search:
    """Queries, documents, and which of them answer which.

    Args:
        queries: texts.
        documents: texts.
        relevance: `(Q, n)`, 0 or larger.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    relevance: Tensor


def scored(ranker: Ranker, queries: Sequence[str], documents: Sequence[str]) -> Tensor:
    """`(Q, n)` scores of all documents for all queries. Cost: one forward per pair."""
    n = len(documents)
    with quiet(ranker), torch.no_grad():
        rows = [logits(ranker([q] * n, documents)).detach().cpu().reshape(n) for q in queries]
    return torch.stack(rows) if rows else torch.zeros(0, n)


def promoted(
    ranker: Ranker,
    task: Search,
    targets: Tensor,
    candidates: Candidates,
    attack: Attack,
    *,
    words: int = 5,
    seed: int = 0,
) -> Promoted:
    """Edits one document per query so that it overtakes the one before it, or as far as it goes.

    The attack sees scores only. It stops as soon as the document has risen.

    Args:
        ranker: (queries, documents) -> scores.
        task: queries and documents.
        targets: `(Q,)` positions of the documents to be edited.
        candidates: word -> words that may stand for it.
        attack: on rows of words.
        words: most words replaced in a document.
        seed: of the draws.

    Cost: that of the attack, one forward per trial.
    """
    full = scored(ranker, task.queries, task.documents)
    chosen = [task.documents[i] for i in targets.tolist()]
    known = Words.of(chosen, candidates, before=[f"{q}\n" for q in task.queries])
    ids = known.ids(chosen, before=[f"{q}\n" for q in task.queries])

    def model(rows: Tensor) -> Tensor:
        # In front stands the query with its line break; after the first space the document.
        texts = [t.partition("\n ")[::2] for t in known.texts(rows)]
        with torch.no_grad():
            got = logits(ranker([q for q, _ in texts], [d for _, d in texts]))
        return got.detach().reshape(-1, 1).double()

    before = rank_of(full, targets)
    order = full.sort(dim=1, descending=True, stable=True).values
    ahead = order.gather(1, (before - 2).clamp(min=0)[:, None]).squeeze(1).double()
    level = torch.nextafter(ahead, torch.tensor(torch.inf, dtype=torch.float64))
    threat = Substitutions(edits=words, table=known.table)
    dice = Dice.of(len(ids), seed, "promoted")
    found = search(attack, model, ids, AtLeast(level), threat, dice=dice)
    new = full.double().scatter(1, targets[:, None], model(threat.apply(ids, found.change)))
    share = (found.change != ids).sum(1) / (ids != 0).sum(1).sub(1).clamp(min=1)
    return Promoted(before, rank_of(new, targets), share)


@register("check", name="ranking-robustness", cites="ranking-robustness")
@settings
class RankingCheck(Check):
    """Five questions to a ranker: spread, two kinds of foreign data, changed queries, edits.

    The subject's model is called with queries and documents and gives one score for each pair.
    Foreign data are further tasks; `reference` says what a model made for them reaches, which
    their drop rate is relative to.

    Unlike the paper: variants of queries and the budget of edits are our own presets, and a
    document is edited until it overtakes the one before it.

    Cost: one forward per query and document, for the queries as they are and for each variant;
    the attack's trials.

    Args:
        task: queries, documents, relevance.
        foreign: further tasks by name.
        reference: gain by name of foreign task; that on the own task unless given.
        candidates: word -> words that may stand for it; without it no document is edited.
        attack: on the words of documents.
        words: most words replaced in a document.
        edits: changes of queries.
        start: rank at which the documents to be edited stand.
        top: documents that count.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Does the order survive other queries and edited documents?"
    section: ClassVar = "language"
    needs: ClassVar = ("model",)

    task: Ingredient[Search] = ingredient()
    foreign: Ingredient[Mapping[str, Search]] = ingredient()
    reference: Ingredient[Mapping[str, float]] = ingredient()
    candidates: Ingredient[Candidates] = ingredient()
    attack: Part[Attack] = "attack:word-substitution"
    words: Natural = 5
    edits: tuple[str, ...] = QUERIES
    start: Count = 10
    top: Count = 10
    alpha: Inner = 0.05

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        if subject.model is None or self.task is None:
            raise Unsupported("there are no queries", fix="Give RankingCheck(task=Search(...)).")
        ranker: Ranker = subject.model  # type: ignore[assignment]  # of pairs of texts
        task, seed = self.task, subject.seed
        first = scored(ranker, task.queries, task.documents)
        variants, names = [], []
        for name in self.edits:
            new = edited(task.queries, edit_named(name), Dice.of(len(task.queries), seed, name))
            if bool(new.changed.any()):
                names.append(name)
                variants.append(scored(ranker, new.texts, task.documents))
        found = ranking_robustness(first, task.relevance, variants, k=self.top, alpha=self.alpha,
                                   seed=seed)  # fmt: skip
        rates = found.drops().tolist()
        mean = float(found.first[found.known].mean())
        rows = [{"change": n, "drop rate": d} for n, d in zip(names, rates, strict=True)]
        for name, other in (self.foreign or {}).items():
            z = scored(ranker, other.queries, other.documents)
            own = ranking_robustness(z, other.relevance, k=self.top)
            top = (self.reference or {}).get(name, mean)
            gain = float(own.first[own.known].mean())
            rows.append({"change": name, "drop rate": drop_rate(gain, top)})
        readings = found.readings()
        if self.candidates is not None and self.words:
            place = min(self.start, first.shape[1]) - 1
            targets = first.sort(dim=1, descending=True, stable=True).indices[:, place]
            lifted = promoted(ranker, task, targets, self.candidates, resolve(self.attack),
                              words=self.words, seed=seed)  # fmt: skip
            readings += lifted.readings("ranking.documents", self.alpha, seed)
        low = min(rates, default=0.0)
        says = (
            f"Gain {mean:.3f} with a variance of {found.variance:.3f} over queries; changed ones "
            f"cost up to {-low:.1%} of it" + (f" ({names[rates.index(low)]})." if rates else ".")
        )  # fmt: skip
        yield Finding(
            severity=Severity.WARNING if low < -0.2 else Severity.INFO, says=says,
            readings=readings, advice="Match parts of words as well." if low < -0.2 else "",
            figures=(Figure(name="ranking", kind="table", title="Changes of queries and data",
                            says=says, rows=tuple(rows)),),
        )  # fmt: skip
