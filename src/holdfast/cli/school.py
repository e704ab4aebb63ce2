"""What `holdfast harden` trains and on what: the model as an audit sees it, rows kept apart."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from holdfast.cli import options as words
from holdfast.cli.prepare import trainable
from holdfast.cli.said import given
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.kinds import Threat
from holdfast.core.labels import named
from holdfast.core.records import Reading, Subject
from holdfast.ops.batch import take
from holdfast.readers.model import ReadModel

_SHARE, _MOST, _STEPS, _WATCHED = 0.1, 500, 20, 250


@dataclass
class School:
    """A model, the rows it learns from and those held out, all in the units of an audit.

    Args:
        model: takes [0, 1]; what is trained.
        net: the module inside whose weights are written.
        learn: rows to learn from.
        watched: rows held out by which the best epoch is chosen.
        held: rows held out on which the result is judged.
        threat: what the model is trained against.
        seed: of every draw.
        chosen: options that tell how model and data are read.
        parts: the rows to learn from and the held ones in the units of their file.
        notes: what the user should know about his data.
        pool: all rows of the file, by which tables are scaled.
    """

    model: nn.Module
    net: nn.Module
    learn: Batches
    watched: Batches
    held: Batches
    threat: Threat
    seed: int
    chosen: dict[str, Any]
    parts: tuple[Batches, ...] = ()
    notes: tuple[str, ...] = ()
    pool: Batches | None = None

    def measured(self) -> tuple[Reading, Reading]:
        """Clean accuracy and accuracy under PGD-20 of the rows held out, at most 500."""
        from holdfast.cli.watching import standing
        from holdfast.run.reading import proportion

        some = self.held.take(slice(0, _MOST))
        right, kept = standing(self.model, some, self.threat, _STEPS, self.seed)
        n, spec = len(some), self.threat.spec
        return (
            proportion("clean.accuracy", right, n, seed=self.seed),
            proportion("harden.pgd", kept, n, bound="upper", threat=spec, seed=self.seed),
        )

    def trained(self) -> bool:
        """Whether the model answers much better than by always naming the commonest class."""
        from holdfast.run.forward import correct, outputs

        y: Any = self.watched.y
        right = float(correct(outputs(self.model, self.watched.x), y).double().mean())
        if y.dim() != 1 or not bool((y >= 0).all()):
            return False
        commonest = float(y.bincount().max()) / len(y)
        return right > (1 + commonest) / 2

    def line(self, start: list[str]) -> str:
        """A command line, with the options that tell how model and data are read."""
        return shlex.join([*start, *given(self.chosen, tuple(self.chosen))])

    def audit(self, place: Path, model: str, data: str, half: bool) -> str:
        """The command that judges the written weights; which unseen rows there are, who knows."""
        own = {"arch": self.chosen["arch"] or (model if ":" in model else None)}
        rows = ["--data", data] if half else ["--reference", data]
        start = ["holdfast", "audit", str(place), *rows, "--threat", self.threat.spec]
        line = shlex.join([*start, *given(self.chosen | own, tuple(self.chosen))])
        return f"`{line}`" if half else f"`{line}` with those rows as `--data`"


def kept_apart(rows: Batches, seed: int, share: float = _SHARE) -> tuple[Batches, Batches]:
    """Rows to learn from and rows held out: the same share of every class, chosen by contents.

    Equal rows stay together, so that nothing held out has been learned by heart.
    """
    import numpy as np

    from holdfast.readers.split import row_keys, sample

    keys = row_keys(rows.x, seed)
    chosen = sample(keys, rows.y.numpy(), max(round(share * len(rows)), 1))
    held = torch.from_numpy(np.isin(keys, keys[chosen]))
    return rows.take((~held).nonzero().flatten()), rows.take(held.nonzero().flatten())


def enrolled(
    model: str, data: str, threat: str, chosen: dict[str, Any], *, half: bool, trust: bool
) -> School:
    """Read model and data as an audit does, and keep a tenth of the rows apart.

    Raises:
        Unsupported: if the model has no weights that could be trained and written.
    """
    from holdfast.readers import read_data, read_model, subject
    from holdfast.readers.archive import MAX_BYTES
    from holdfast.readers.join import split
    from holdfast.threats.grammar import parse

    most, seed, against = chosen["max_bytes"] or MAX_BYTES, chosen["seed"], parse(threat)
    pool = read_data(data, target=chosen["target"], seed=seed, max_bytes=most)
    plain = read_model(model, arch=chosen["arch"], trust=trust, max_bytes=most)
    _checked(plain, model)
    whole = read_model(
        plain, mean=words.numbers(chosen["mean"], "--mean"),
        std=words.numbers(chosen["std"], "--std"), shape=words.shape(pool.x),
        classes=len(pool.classes) or None,
    )  # fmt: skip
    rows = split(pool)[0] if half else pool
    learn, held = kept_apart(rows, seed)
    learn, watched = kept_apart(learn, seed + 1) if len(learn) else (learn, learn)
    if not len(learn) or not len(held) or not len(watched):
        raise ConfigError("harden: too few rows", fix="Give more data.", code="E0143")
    # Tables are scaled by the ranges of the whole file, as an audit of it would do.
    asked = [subject(whole, part, reference=pool) for part in (learn, watched, held)]
    net: Any = plain.model
    inside: Any = asked[0].model
    ready = [_of(each) for each in asked]
    notes = labels_fit(inside, ready[0])
    ready[1] = ready[1].take(slice(0, _WATCHED))
    return School(
        inside, net, ready[0], ready[1], ready[2], threat=against, seed=seed, chosen=chosen,
        parts=(learn, held), notes=notes, pool=pool,
    )  # fmt: skip


def labels_fit(model: nn.Module, rows: Batches) -> tuple[str, ...]:
    """What is odd about the labels, in words; nothing for most data.

    Raises:
        ShapeError: if a label is not the number of an output of the model.
    """
    from holdfast.run.forward import outputs

    known = rows.y[rows.y != UNLABELLED]
    if not len(known):
        return ()
    count = int(outputs(model, take(rows.x, slice(0, 2))).shape[-1])
    named(rows.y, count, "harden")
    if rows.y.dim() != 1:
        return ()
    missing = [k for k in range(count) if not bool((known == k).any())]
    if not missing:
        return ()
    names = [rows.classes[k] if k < len(rows.classes) else str(k) for k in missing[:5]]
    return (
        f"no row of class {', '.join(names)} to learn from: expect that it is forgotten",
    )  # fmt: skip


def _of(asked: Subject) -> Batches:
    if asked.batches is None:
        raise ConfigError("harden: there are no rows", fix="Give data.", code="E0143")
    return asked.batches


def _checked(read: ReadModel, name: str) -> None:
    # What a folder of Hugging Face holds could be trained, but not written so that --arch reads it.
    if not trainable(read.model) or read.about["kind"] == "huggingface":
        raise Unsupported(
            f"harden: {name} has no weights that could be trained and written",
            fix="Give weights with --arch, or an entry that returns a torch.nn.Module.",
            code="E0303",
        )
