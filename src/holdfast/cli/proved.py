"""What a certifier proves of a model's rows: as a document, as lines for people, as tensors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from holdfast.certify.radius import certified_radius
from holdfast.core.catalog import entry_of
from holdfast.core.certificate import Certificate
from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.core.records import Reading, Subject
from holdfast.core.table import table
from holdfast.defend.smoothed import Smoothed
from holdfast.run.bracket import Bracket, bracket
from holdfast.run.reading import proportion
from holdfast.run.writing import plain

ATTACK = "attack:pgd"  # on what is not proved, and on witnesses among what is
STEPS = 5  # halvings of the radius
VOTES = 1000  # noisy copies of the smoothed model that is attacked


@dataclass(eq=False)
class Proved:
    """What was asked, and what was shown.

    Args:
        subject: as asked.
        batches: the rows.
        certifier: the method.
        threat: the admissible changes.
        bracket: what is proved and what breaks.
        shares: `(B,)` share of the radius proved for each row, None if not asked for.
        seconds: that it took.
    """

    subject: Subject
    batches: Batches
    certifier: Certifier
    threat: Threat
    bracket: Bracket
    shares: Tensor | None
    seconds: float

    @property
    def said(self) -> Certificate | None:
        """The certificate of all rows; None where every row was lost without a change."""
        return self.bracket.certificates[0] if self.bracket.certificates else None


def prove_rows(
    subject: Subject, certifier: object, *, sigma: float | None = None, radii: bool = False
) -> Proved:
    """Certify all rows that have a label; attack the rest and a share of what is proved.

    Args:
        subject: as read.
        certifier: the method.
        sigma: certify the model behind noise of that standard deviation.
        radii: also find the largest share of the radius that is proved.

    Raises:
        Unsupported: if the method cannot answer.
        ConfigError: if there is no row with a label.
        Contradiction: if an attack wins where there is a proof.
    """
    rows, base, threat = subject.batches, subject.model, subject.threats[0]
    if base is None or rows is None or not isinstance(rows.x, Tensor):
        raise Unsupported(
            "certificates need a model and one tensor of inputs",
            fix="Give a model and rows that are numbers.",
        )
    rows = rows.take((rows.y != UNLABELLED).nonzero().flatten())
    if not len(rows):
        raise ConfigError("certify: no row has a label", fix="Give rows with labels.", code="E0157")
    model: Model = base
    if sigma is not None:
        model = Smoothed(base, sigma, VOTES, subject.seed)
    method, x, goal = cast("Certifier", certifier), cast("Tensor", rows.x), Untargeted(rows.y)
    dice, begun = Dice(subject.seed, rows.index, f"certify/{threat.spec}"), time.monotonic()
    found = bracket(model, x, goal, threat, attacks=(ATTACK,), certifiers=(method,), dice=dice)
    if not found.certificates and not bool(found.broken.all()):  # the refusal itself tells more
        one = torch.zeros(1, dtype=torch.int64)
        method(model, x[:1], goal.take(one), threat.take(one), dice=dice.part(slice(0, 1)))
        raise Unsupported("; ".join(found.notes), fix="See: holdfast list certifier")
    shares = None
    if radii:
        shares = certified_radius(method, model, x, goal, threat, steps=STEPS, dice=dice)
    return Proved(subject, rows, method, threat, found, shares, time.monotonic() - begun)


def document(found: Proved) -> dict[str, Any]:
    """Plain values: the bound with all that belongs to it, what breaks, what stays open."""
    what, n = found.bracket, len(found.batches)
    clean = int((what.attacked.clean < 0).sum())
    proved, broken = int(what.certified.sum()), int(what.broken.sum())
    spec, seed = found.threat.spec, found.subject.seed
    entry, said = entry_of(type(found.certifier)), found.said
    return {
        "certifier": table(found.certifier),
        "name": entry.key if entry else type(found.certifier).__name__,
        "threat": spec,
        "seed": seed,
        "n": n,
        "proved": plain(_reading("certify.proved", proved, n, "lower", spec, seed)),
        "standing": plain(_reading("certify.standing", n - broken, n, "upper", spec, seed)),
        "clean": plain(_reading("clean.accuracy", clean, n, "estimate", "", seed)),
        "open": n - proved - broken,
        "confidence": said.confidence if said else 1.0,
        "witnesses": int(what.witness.sum()),
        "radius": plain(_quantiles(found)),
        "notes": list(what.notes),
        "seconds": round(found.seconds, 3),
        "model": found.subject.about.get("model", {}).get("digest", ""),
        "data": found.subject.about.get("data", {}).get("digest", ""),
    }


def _reading(name: str, count: int, n: int, bound: Any, spec: str, seed: int) -> Reading:
    if bound == "estimate":
        return proportion(name, count, n, seed=seed)
    return proportion(f"{name}@{spec}", count, n, bound=bound, threat=spec, seed=seed)


def _quantiles(found: Proved) -> dict[str, float] | None:
    """Quartiles of the radius that is proved, over all rows; 0 where nothing is."""
    said, radius = found.said, None
    if found.shares is not None:
        radius = found.shares * float(getattr(found.threat, "radius", 1.0))
    elif said is not None and said.radius is not None:
        radius = said.radius * found.bracket.certified.to(said.radius)
    if radius is None:
        return None
    at = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    low, middle, high = torch.quantile(radius.double().cpu(), at).tolist()
    return {"lower quartile": low, "median": middle, "upper quartile": high,
            "mean": float(radius.double().mean())}  # fmt: skip


def save(found: Proved, told: dict[str, Any], place: Path) -> str:
    """Write bounds of the adversary's margin, one per row, into a file of safetensors."""
    from holdfast.run.checkpoint import packed
    from holdfast.run.writing import write

    what, said = found.bracket, found.said
    lost = torch.full((len(found.batches),), torch.inf, dtype=torch.float64)
    tensors = {
        "margin": lost if said is None else said.margin, "proved": what.certified,
        "broken": what.broken, "labels": found.batches.y, "index": found.batches.index,
    }  # fmt: skip
    if found.shares is not None:
        tensors["share"] = found.shares
    ready = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    about = {k: str(told[k]) for k in ("name", "threat", "seed", "n", "model", "data")}
    write(place, packed(ready, about))
    return str(place)
