"""What `holdfast harden` trains and on what: the model as an audit sees it, rows kept apart."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from holdfast.cli import options as words
from holdfast.cli.prepare import given, trainable
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Model, Threat
from holdfast.core.records import Reading, Subject

_SHARE, _MOST, _STEPS = 0.1, 500, 20
_EPOCH = 15.0  # ways there and back that a row costs in an epoch of either recipe, with slack


@dataclass
class School:
    """A model, the rows it learns from and those held out, all in the units of an audit.

    Args:
        model: takes [0, 1]; what is trained.
        net: the module inside whose weights are written.
        learn: rows to learn from.
        held: rows held out.
        threat: what the model is trained against.
        seed: of every draw.
        chosen: options that tell how model and data are read.
    """

    model: nn.Module
    net: nn.Module
    learn: Batches
    held: Batches
    threat: Threat
    seed: int
    chosen: dict[str, Any]

    def measured(self) -> tuple[Reading, Reading]:
        """Clean accuracy and accuracy under PGD-20 of the rows held out, at most 500."""
        from holdfast.core.catalog import build
        from holdfast.run.forward import correct, outputs
        from holdfast.run.reading import proportion
        from holdfast.run.search import search

        some = self.held.take(slice(0, _MOST))
        x: Any = some.x
        right = int(correct(outputs(self.model, x), some.y).sum())
        dice = Dice(self.seed, some.index, "harden")
        attack = build("attack:pgd", steps=_STEPS)
        found = search(attack, self.model, x, Untargeted(some.y), self.threat, dice=dice)
        kept, n = int((~found.broken).sum()), len(some)
        spec = self.threat.spec
        return (
            proportion("clean.accuracy", right, n, seed=self.seed),
            proportion("harden.pgd", kept, n, bound="upper", threat=spec, seed=self.seed),
        )

    def affordable(self, epochs: int, seconds: float) -> int:
        """How many epochs fit into a time, so that the learning rate can fall to its end."""
        from holdfast.run.preflight import forecast

        subject = Subject(model=self.model, batches=self.learn)
        row = forecast(subject, count=128).backward
        fitting = seconds / max(_EPOCH * row * len(self.learn), 1e-9)
        return int(min(max(fitting, 1), epochs))

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
    _checked(plain.model, model)
    whole = read_model(
        plain, mean=words.numbers(chosen["mean"], "--mean"),
        std=words.numbers(chosen["std"], "--std"), shape=words.shape(pool.x),
        classes=len(pool.classes) or None,
    )  # fmt: skip
    rows = split(pool)[0] if half else pool
    learn, held = kept_apart(rows, seed)
    if not len(learn) or not len(held):
        raise ConfigError("harden: too few rows", fix="Give more data.", code="E0143")
    # Tables are scaled by the ranges of the whole file, as an audit of it would do.
    asked, test = (subject(whole, part, reference=pool) for part in (learn, held))
    net: Any = plain.model
    inside: Any = asked.model
    return School(inside, net, _of(asked), _of(test), against, seed, chosen)


def _of(asked: Subject) -> Batches:
    if asked.batches is None:
        raise ConfigError("harden: there are no rows", fix="Give data.", code="E0143")
    return asked.batches


def _checked(model: Model, name: str) -> None:
    if not trainable(model):
        raise Unsupported(
            f"harden: {name} has no weights that could be trained and written",
            fix="Give weights with --arch, or an entry that returns a torch.nn.Module.",
            code="E0303",
        )
