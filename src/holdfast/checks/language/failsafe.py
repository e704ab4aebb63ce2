"""Does it answer a bad question about a good text, and refuse a good question about none?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar

import torch
from torch import Tensor

from holdfast.checks.given import writer_of
from holdfast.checks.language.asking import refuses, said
from holdfast.checks.language.filings import LAY, Item, filings, irrelevant, prompt
from holdfast.core.catalog import register
from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Count, Ingredient, Inner, Positive, Share, ingredient, settings
from holdfast.core.kinds import Check, Writer
from holdfast.core.records import Cell, Figure, Finding, Severity, Subject
from holdfast.measures.text.failsafe import FailSafe, compliant, failsafe
from holdfast.shifts.text.degraded import misspelt, scanned
from holdfast.shifts.text.words import glossary, keywords

Judge = Callable[[Item, str, bool], float]
ANSWERABLE = ("plain", "misspelled", "incomplete", "out-of-domain", "scanned")
UNANSWERABLE = ("missing", "irrelevant")


def rule(item: Item, text: str, answerable: bool) -> float:
    """The judge by default: grades from 1 to 6.

    An answer gets 6 where it contains the right one and does not decline; a refusal gets 6
    where there is nothing to be known. Everything else gets 1.
    """
    good = item.answer in text and not refuses(text) if answerable else refuses(text)
    return 6.0 if good else 1.0


def versions(
    items: Sequence[Item], terms: Mapping[str, str], *, typos: float, scans: float, seed: int
) -> list[dict[str, tuple[str, str]]]:
    """Question and context of each item in every version; one that does not apply is the plain one.

    Args:
        items: questions about texts.
        terms: terms of the trade and what lay people say instead.
        typos: share of the words of a question that are misspelt.
        scans: share of the signs of a context that a scanner confuses.
        seed: of the draws.

    Raises:
        Unsupported: if no other item has a context without the answer.
    """
    seeds = Dice.of(len(items), seed, "failsafe").integers(1 << 31).tolist()
    made = []
    for i, (item, own) in enumerate(zip(items, seeds, strict=True)):
        q, c, draw = item.question, item.context, Random(own)
        other = irrelevant(items, i)
        if other is None:
            raise Unsupported("every context holds the answer of some item", fix="Give more items.")
        made.append({
            "plain": (q, c), "misspelled": (misspelt(q, draw, typos) or q, c),
            "incomplete": (keywords(q, draw) or q, c),
            "out-of-domain": (glossary(terms, q, draw) or q, c),
            "scanned": (q, scanned(c, draw, scans, numbers=False) or c), "missing": (q, ""),
            "irrelevant": (q, other),
        })  # fmt: skip
    return made


@register("check", name="failsafe-qa", cites="failsafe-qa")
@settings
class FailSafeQA(Check):
    """A writer's answers to questions about texts when question or text fails.

    Misspelt, incomplete and lay questions, and a badly scanned text, can still be answered, and
    an item counts as robust only if all of them are. A missing or an irrelevant text cannot, and
    has to be refused. A judge grades each answer; the score favours refusals.

    Cost: seven texts per item.

    Unlike the paper: the judge is a rule unless one is given, edits are rules, and the items are
    made-up annual reports unless others are given.

    Args:
        items: questions about texts; made-up reports unless given.
        judge: (item, answer, answerable) -> grade from 1 to 6.
        terms: terms of the trade and what lay people say instead.
        limit: at most so many items.
        typos: share of the words of a question that are misspelt.
        scans: share of the signs of a text that a scanner confuses.
        threshold: least grade that counts.
        beta: below 1 favours refusals over answers.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "Does it answer bad questions, and refuse what cannot be known?"
    section: ClassVar = "language"
    needs: ClassVar = ("writer",)

    items: Ingredient[Sequence[Item]] = ingredient()
    judge: Ingredient[Judge] = ingredient()
    terms: Ingredient[Mapping[str, str]] = ingredient()
    limit: Count = 50
    typos: Share = 0.1
    scans: Share = 0.05
    threshold: Positive = 4.0
    beta: Positive = 0.5
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        return float(self.limit * (len(ANSWERABLE) + len(UNANSWERABLE)))

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        writer = writer_of(subject)
        items = list(self.items if self.items is not None else filings(self.limit, subject.seed))
        items = items[: self.limit]
        grades = self.grades(writer, items, subject.seed)
        answered = compliant(torch.stack([grades[v] for v in ANSWERABLE], 1), self.threshold)
        refused = compliant(torch.stack([grades[v] for v in UNANSWERABLE], 1), self.threshold)
        found = failsafe(answered, refused, beta=self.beta, alpha=self.alpha, seed=subject.seed)
        yield self._finding(found, items, answered, refused)

    def grades(self, writer: Writer, items: Sequence[Item], seed: int) -> dict[str, Tensor]:
        """`(N,)` grades of the answers to every version."""
        terms = LAY if self.terms is None else self.terms
        judge = rule if self.judge is None else self.judge
        every = versions(items, terms, typos=self.typos, scans=self.scans, seed=seed)
        found = {}
        for name in (*ANSWERABLE, *UNANSWERABLE):
            prompts = [prompt(*v[name]) for v in every]
            texts = said(writer, prompts, Dice.of(len(items), seed, f"failsafe-{name}"))
            found[name] = torch.tensor(
                [judge(i, t[0], name in ANSWERABLE) for i, t in zip(items, texts, strict=True)]
            )
        return found

    def _finding(
        self, found: FailSafe, items: Sequence[Item], answered: Tensor, refused: Tensor
    ) -> Finding:
        r, g = float(found.robust.mean()), float(found.grounded.mean())
        says = (
            f"{float(found.first.mean()):.1%} of {len(items)} questions are answered; {r:.1%} in "
            f"every failing version; {g:.1%} of the unanswerable ones are refused."
        )
        both = torch.cat([answered, refused], 1).double()
        tasks = sorted({i.task for i in items})
        rows: tuple[dict[str, Cell], ...] = tuple(
            {"task": t, "version": v, "n": sum(i.task == t for i in items),
             "compliance": float(both[[k for k, i in enumerate(items) if i.task == t], c].mean())}
            for t in tasks for c, v in enumerate((*ANSWERABLE, *UNANSWERABLE))
        )  # fmt: skip
        return Finding(
            severity=Severity.WARNING if min(r, g) < 0.8 else Severity.GOOD,
            says=says,
            readings=found.readings(),
            advice="Ask it to say when the text does not hold the answer." if g < 0.8 else "",
            figures=(Figure(name="failsafe", kind="table", title="Failing questions and texts",
                            says=says, rows=rows),),
        )  # fmt: skip
