"""Made-up annual reports whose facts are known: items of questions about long contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.dice import Dice

FIELDS = (
    "net revenue", "operating income", "total assets", "capital expenditure", "gross margin",
    "deferred revenue", "goodwill impairment", "treasury stock", "working capital",
    "research expense",
)  # fmt: skip
LAY = {
    "net revenue": "money that came in", "operating income": "what the business earned",
    "total assets": "everything it owns", "capital expenditure": "what was spent on machines",
    "gross margin": "what is left after making the goods",
    "deferred revenue": "money paid ahead by customers",
    "goodwill impairment": "loss on the price of firms bought",
    "treasury stock": "own shares bought back", "working capital": "money for daily business",
    "research expense": "what was spent on inventing",
}  # fmt: skip
_HEADS = ("Norvale", "Quintar", "Bellweth", "Ostrand", "Fenmark", "Lyridge", "Tarvish", "Calloway")
_TAILS = ("Industries", "Holdings", "Systems", "Foods", "Energy", "Logistics")


@dataclass(frozen=True)
class Item:
    """A question about a text.

    Args:
        question: what is asked.
        context: the text that holds the answer.
        answer: what a right answer must contain.
        task: what kind of task it is.
    """

    question: str
    context: str
    answer: str
    task: str = "question"


def filings(count: int, seed: int = 0) -> list[Item]:
    """Items whose contexts state five facts each, one of which is asked for."""
    dice = Dice.of(count, seed, "filings")
    order = dice.uniform((len(FIELDS),)).argsort(1)[:, :5].tolist()
    asked = dice.integers(5).tolist()
    amounts = (100 + dice.integers(900, (5, 2))).tolist()
    head, tail, year = (dice.integers(k).tolist() for k in (len(_HEADS), len(_TAILS), 10))
    made = []
    for i in range(count):
        firm = f"{_HEADS[head[i]]} {_TAILS[tail[i]]} {i}"
        when, facts = 2010 + year[i], [FIELDS[k] for k in order[i]]
        values = [f"{a}.{b}" for a, b in amounts[i]]
        lines = [
            f"The {fact} of {firm} in {when} was {value} million."
            for fact, value in zip(facts, values, strict=True)
        ]
        text = f"Annual report of {firm}. " + " ".join(lines) + " Figures are audited."
        q = asked[i]
        task = "generation" if i % 4 == 3 else "question"
        start = "Write a sentence about" if task == "generation" else "What was"
        made.append(Item(f"{start} the {facts[q]} of {firm} in {when}", text, values[q], task))
    return made


def prompt(question: str, context: str) -> str:
    """The prompt of one item."""
    return f"Context: {context}\n\nQuestion: {question}\n\nAnswer:"


def parsed(text: str) -> tuple[str, str]:
    """Question and context of a prompt made by `prompt`."""
    context, _, rest = text.removeprefix("Context: ").partition("\n\nQuestion: ")
    return rest.removesuffix("\n\nAnswer:"), context


def irrelevant(items: Sequence[Item], i: int) -> str | None:
    """A context of another item that does not hold the answer, the next one that there is."""
    n = len(items)
    others = (items[(i + k) % n] for k in range(1, n))
    return next((o.context for o in others if items[i].answer not in o.context), None)
