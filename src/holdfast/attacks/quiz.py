"""Multiple-choice questions as inputs, and a writer who answers them as a model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError
from holdfast.core.goal import AtLeast
from holdfast.core.kinds import Writer
from holdfast.threats.sentences import Sentences

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Judge = Callable[[str, str], bool]  # (question, changed question): is the answer unchanged?

_HINTS = (
    "Some people also mention {0} in this context.",
    "An article about {0} was widely read last year.",
    "A friend of mine is interested in {0}.",
    "The library has a new book on {0}.",
)


def hints(prompts: Sequence[str], samples: int, dice: Dice) -> list[list[str]]:
    """A writer of distractions by rule: sentences that name the wrong option and claim nothing.

    Args:
        prompts: as made by `Quiz.sentences`; the last line holds the option.
        samples: sentences per prompt, different ones as long as there are patterns.
        dice: one row per prompt.
    """
    start = dice.integers(len(_HINTS)).tolist()
    options = [prompt.rpartition("Wrong option: ")[2].strip() for prompt in prompts]
    return [
        [_HINTS[(first + s) % len(_HINTS)].format(option) for s in range(samples)]
        for first, option in zip(start, options, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Quiz:
    """Questions with choices, and sentences that may be put around each.

    Args:
        questions: texts.
        choices: of each question, equally many.
        answers: position of the right choice of each.
        pool: sentences of each question and wrong option.
    """

    questions: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    answers: tuple[int, ...]
    pool: tuple[tuple[tuple[str, ...], ...], ...]
    texts: tuple[str, ...] = field(init=False)  # by number; 0 is none, then the questions

    def __post_init__(self) -> None:
        if len({len(c) for c in self.choices}) > 1:
            raise ConfigError(
                "Quiz: every question needs equally many choices",
                fix="Bring each row of choices to the same length, as most questions have it.",
            )
        pooled = (s for row in self.pool for option in row for s in option)
        object.__setattr__(self, "texts", ("", *self.questions, *pooled))

    @classmethod
    def of(
        cls,
        questions: Sequence[str],
        choices: Sequence[Sequence[str]],
        answers: Sequence[int],
        *,
        writer: Writer = hints,
        samples: int = 3,
        longest: float = 10.0,
        dice: Dice | None = None,
    ) -> Quiz:
        """Questions with sentences that a writer proposes for each wrong option.

        Args:
            questions: texts.
            choices: of each question.
            answers: position of the right choice of each.
            writer: asked for one sentence that makes one think of a wrong option.
            samples: sentences per wrong option.
            longest: a text may be at most so many times as long as before a sentence was added.
            dice: of the writer's rows.
        """
        prompts = [
            f"Question: {q}\nRight answer: {c[a]}\nWrite one sentence that makes one think of the "
            f"wrong option, without claiming that it is right.\nWrong option: {wrong}"
            for q, c, a in zip(questions, choices, answers, strict=True)
            for i, wrong in enumerate(c) if i != a
        ]  # fmt: skip
        written = iter(writer(prompts, samples, dice or Dice.of(len(prompts))))
        pool = tuple(
            tuple(
                tuple(s for s in next(written) if len(q) + 1 + len(s) <= longest * len(q))
                for i in range(len(c)) if i != a
            )
            for q, c, a in zip(questions, choices, answers, strict=True)
        )  # fmt: skip
        return cls(tuple(questions), tuple(map(tuple, choices)), tuple(answers), pool)

    def x(self, depth: int = 3) -> Tensor:
        """`(B, 2 depth + 1)`: each question between free places."""
        rows = torch.zeros(len(self.questions), 2 * depth + 1, dtype=torch.int64)
        rows[:, depth] = torch.arange(1, len(self.questions) + 1)
        return rows

    def read(self, ids: Tensor) -> list[str]:
        """The texts that rows of numbers stand for."""
        return [" ".join(self.texts[i] for i in row if i) for row in ids.tolist()]

    def asked(self, ids: Tensor) -> list[int]:
        """Which question each row asks."""
        return [next(i for i in row if 0 < i <= len(self.questions)) - 1 for row in ids.tolist()]

    def threat(self, judge: Judge | None = None) -> Sentences:
        """The sentences of each question's pool, as far as a judge admits the whole text."""
        options = len(self.choices[0]) - 1
        width = max([len(s) for row in self.pool for s in row], default=0)
        table = torch.arange(len(self.texts))[:, None].repeat(1, options * max(width, 1))
        number = len(self.questions) + 1
        for q, row in enumerate(self.pool):
            for o, option in enumerate(row):
                for s in range(len(option)):
                    table[q + 1, o * width + s] = number
                    number += 1

        def kept(ids: Tensor) -> Tensor:
            pairs = zip(self.asked(ids), self.read(ids), strict=True)
            return torch.tensor([judge is None or judge(self.questions[q], t) for q, t in pairs])

        return Sentences(vocabulary=len(self.texts), options=options, table=table, writable=kept)

    def goal(self) -> AtLeast:
        """That the victim is never right any more; the margin is minus its rate of success."""
        return AtLeast(torch.ones(len(self.questions), dtype=torch.float64))

    def victim(self, writer: Writer, *, samples: int = 5, seed: int = 0) -> Victim:
        """A writer as a model of the rows of this quiz."""
        return Victim(self, writer, samples, seed)


@dataclass(frozen=True, eq=False)
class Victim:
    """How often a writer answers a question wrongly; choices are shuffled every time.

    What it draws depends on the text alone, so the same text always has the same rate.

    Args:
        quiz: what the rows mean.
        writer: prompts -> texts; the first capital letter that stands alone is the answer.
        samples: how often each question is asked.
        seed: of its draws.
    """

    quiz: Quiz
    writer: Writer
    samples: int = 5
    seed: int = 0

    def __call__(self, ids: Tensor) -> Tensor:
        """`(B, 1)` float64: share of wrong or unreadable answers."""
        if not len(ids):
            return torch.zeros(0, 1, dtype=torch.float64)
        texts, asked = self.quiz.read(ids), self.quiz.asked(ids)
        keys = [hashlib.blake2b(t.encode(), digest_size=7).digest() for t in texts]
        rows = torch.tensor([int.from_bytes(k, "little") for k in keys])
        dice = Dice(self.seed, rows.repeat_interleave(self.samples) + torch.arange(
            self.samples).repeat(len(texts)), "victim")  # fmt: skip
        count = len(self.quiz.choices[0])
        order = dice.uniform((count,)).argsort(1).tolist()
        prompts, right = [], []
        for i, shown in enumerate(order):
            q = asked[i // self.samples]
            lines = [f"{LETTERS[k]}. {self.quiz.choices[q][c]}" for k, c in enumerate(shown)]
            prompts.append("\n".join([texts[i // self.samples], *lines]))
            right.append(LETTERS[shown.index(self.quiz.answers[q])])
        said = [answer[0] for answer in self.writer(prompts, 1, dice)]
        wrong = [letter(text, count) != own for text, own in zip(said, right, strict=True)]
        rate: Tensor = torch.tensor(wrong, dtype=torch.float64).view(-1, self.samples)
        return rate.mean(1, keepdim=True).to(ids.device)


def letter(text: str, count: int) -> str:
    """The first capital letter that stands alone and names one of so many choices, or nothing."""
    found = re.search(rf"\b([A-{LETTERS[count - 1]}])\b", text)
    return found[1] if found else ""
