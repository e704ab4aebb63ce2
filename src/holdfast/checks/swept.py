"""Questions asked of all rows of a data set that never is in memory: one part after the other.

Each question first makes its columns, row by row, in Parquet files (`run/partitions.py`), and then
its numbers by exact sums over them. Rows keep their positions in the data set and so their draws:
the numbers are those that the same rows would give in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from holdfast.checks.given import model_of
from holdfast.core.data import Batches
from holdfast.core.digest import digest
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.fields import Ingredient, Inner, ingredient, settings
from holdfast.core.kinds import Check, Model
from holdfast.core.records import Finding, Reading, Severity, Subject
from holdfast.run.cells import module_of, parts, subject_key
from holdfast.run.forward import correct, outputs
from holdfast.run.partitions import Partitions
from holdfast.run.reading import proportion
from holdfast.run.source import source_digest
from holdfast.run.watch import listener


class Source(Protocol):
    """A data set in parts; its repr tells its contents and no places."""

    keep: str

    def __len__(self) -> int: ...

    def parts(self) -> Iterator[Any]:
        """The parts in order, each with its `start` and `count`."""

    def read(self, part: Any) -> Batches:
        """The rows of a part."""


@settings
class Swept(Check):
    """A question whose columns are made part by part.

    Args:
        source: the data set; its folder `keep` takes the columns.
        alpha: intervals have coverage 1 - alpha.
    """

    question: ClassVar = "?"
    section: ClassVar = "clean"
    needs: ClassVar[tuple[str, ...]] = ("model",)

    source: Ingredient[Source] = ingredient()
    alpha: Inner = 0.05

    def cost(self, subject: Subject) -> float:
        return float(len(self.data()))

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        raise Unsupported(
            f"{type(self).__name__} asks nothing", fix="Ask one of its kinds: SweptClean()."
        )

    def columns(self, subject: Subject, batches: Batches) -> Mapping[str, Tensor]:
        """What is kept of every row: its answer, its confidence, and whether that is right."""
        logit, y = outputs(self.model(subject), batches.x, size=batches.size), batches.y
        if int(y.max()) >= logit.shape[1] or int(y.min()) < 0:
            raise ShapeError(
                f"a label is {int(y.max())}, and the model has {logit.shape[1]} classes",
                fix="Number the classes from 0, as in training.",
            )
        finite = logit.isfinite().all(1)
        sure, answer = torch.where(finite[:, None], logit, 0.0).softmax(1).max(1)
        return {
            "row": batches.index, "y": y, "answer": answer, "sure": sure.float(),
            "hit": answer == y, "correct": correct(logit, y), "finite": finite,
        }  # fmt: skip

    def asks(self) -> list[Any]:
        """The settings on which columns depend; checks that share columns give the same."""
        return ["clean"]

    def key(self, subject: Subject) -> str:
        """Digest of all that the columns depend on; their folder is named by it."""
        what = [self.asks(), repr(self.data()), subject_key(subject), torch.__version__]
        modules = {type(self).__module__, *map(module_of, parts(self))}
        return digest([*what, [source_digest(m) for m in sorted(modules)]])

    def made(self, subject: Subject) -> Partitions:
        """The columns of all rows; those of parts that are on disk are not made again."""
        data, tell = self.data(), listener()
        found, pieces = Partitions(Path(data.keep) / self.key(subject)), list(data.parts())

        def told(rows: int) -> None:
            if tell is not None:
                tell(rows, len(data), 0)

        found.fill(
            [(p.start, p.count) for p in pieces],
            lambda k: self.columns(subject, data.read(pieces[k])), told,
        )  # fmt: skip
        return found

    def data(self) -> Source:
        """The data set.

        Raises:
            Unsupported: if there is none.
        """
        if self.source is None:
            raise Unsupported("there are no shards to read", fix="holdfast audit --stream")
        return self.source

    def model(self, subject: Subject) -> Model:
        """The function under test.

        Raises:
            Unsupported: if there is none.
        """
        return model_of(subject)


@settings
class SweptClean(Swept):
    """Accuracy on all rows as they are. Cost: one forward per row."""

    question: ClassVar = "How often is it right on unchanged inputs?"

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        rows = self.made(subject)
        ((n, right, finite),) = rows.ask("count(*), countif(correct), countif(finite)")
        majority = max(n for (n,) in rows.ask("count(*)", "group by y"))
        accuracy = proportion("clean.accuracy", right, n, alpha=self.alpha, seed=subject.seed)
        share = Reading(
            name="clean.majority", value=majority / n, low=majority / n, high=majority / n, n=n,
            bound="exact", seed=subject.seed,
        )  # fmt: skip
        yield Finding(
            severity=Severity.FAILURE if accuracy.high <= majority / n else Severity.INFO,
            says=f"{right:,} of {n:,} unchanged rows are classified correctly; always answering "
            f"the commonest class would give {majority:,}.",
            readings=(accuracy, share),
        )
        if finite < n:
            broken = proportion("clean.nonfinite", n - finite, n, better="lower")
            yield Finding(
                severity=Severity.FAILURE,
                says=f"On {n - finite:,} of {n:,} unchanged rows the output is not finite.",
                readings=(broken,),
                advice="Look for divisions, logarithms and overflow in the model.",
            )


@settings
class SweptSlices(Swept):
    """Accuracy of every class; intervals of all classes hold together (Bonferroni)."""

    question: ClassVar = "Which classes does it serve worst?"
    section: ClassVar = "slices"

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        found = self.made(subject).ask("y, count(*), countif(correct)", "group by y order by y")
        alpha, seed = self.alpha / len(found), subject.seed
        each = [(y, proportion("clean.worst_class", k, n, alpha=alpha, seed=seed))
                for y, n, k in found]  # fmt: skip
        label, worst = min(each, key=lambda pair: pair[1].value)
        overall = sum(k for *_, k in found) / sum(n for _, n, _ in found)
        behind = sum(r.high < overall - 0.05 for _, r in each)
        yield Finding(
            severity=Severity.WARNING if behind else Severity.GOOD,
            says=f"{behind} of {len(each)} classes lie clearly below the accuracy of all rows "
            f"({overall:.1%}); the worst is class {label} with {worst.value:.1%}.",
            readings=(worst,),
            advice="Collect or reweight rows of the worst classes." if behind else "",
        )


def named(check: Swept, name: str) -> Swept:
    """The same question under the name of the check that asks it where rows are in memory."""
    usual, given = type(check), {f.name: getattr(check, f.name) for f in fields(check)}
    about = {"__module__": usual.__module__, "__reduce__": lambda _: (named, (check, name))}
    made: Swept = type(name, (usual,), about)(**given)
    return made
