"""Where an attack and a certificate contradict each other, neither is believed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from holdfast.core.certificate import Certificate
from holdfast.core.errors import Contradiction
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Model, Threat
from holdfast.core.quiet import quiet
from holdfast.run.search import Found


def covers(certificate: Certificate, model: Model, threat: Threat) -> bool:
    """Whether a certificate speaks of this function and of all of this threat."""
    same = certificate.threat is threat or certificate.threat.spec == threat.spec
    return certificate.about is model and same and certificate.mass >= 1


def agree(
    model: Model, x: Tensor, goal: Goal, threat: Threat, found: Found, said: Sequence[Certificate]
) -> None:
    """Raise where an attack won what a certain certificate had excluded.

    A win counts only where it is larger than what another batch size may do to the outputs.

    Args:
        model: the function under test.
        x: `(B, ...)` inputs.
        goal: with B rows.
        threat: of the attacks.
        found: what the attacks found.
        said: certificates of all rows.

    Raises:
        Contradiction: with both witnesses.
    """
    size = threat.size(x, found.change)
    for certificate in said:
        if not covers(certificate, model, threat) or certificate.confidence < 1:
            continue
        claimed = certificate.proved & (size <= 1 + 1e-5)
        reach = getattr(threat, "radius", None)
        if certificate.radius is not None and isinstance(reach, float):
            claimed |= size * reach < certificate.radius.to(size) * (1 - 1e-6)
        rows = (claimed & found.broken & found.finite).nonzero().flatten()
        if not len(rows):
            continue
        with torch.no_grad(), quiet(model):
            part = threat.take(rows)
            outputs = part.through(model, x[rows], found.change[rows])
            z = logits(outputs).flatten(1)
            slack = (1e-5 if z.dtype != torch.float64 else 1e-9) * z.abs().amax(1)
            certain = goal.take(rows)(outputs) > slack
        if bool(certain.any()):
            _refuse(certificate, found, x, rows[certain], threat)


def _refuse(
    certificate: Certificate, found: Found, x: Tensor, rows: Tensor, threat: Threat
) -> None:
    row = int(rows[0])
    radius = None if certificate.radius is None else float(certificate.radius[row])
    raise Contradiction(
        f"row {row}: an attack reached margin {float(found.margin[row]):.4g} under {threat.spec},"
        f" where a certificate had proved at most {float(certificate.margin[row]):.4g}"
        f" ({len(rows)} such rows)",
        witnesses={
            "attack": {
                "rows": rows,
                "x": x[rows],
                "change": found.change[rows],
                "margin": found.margin[rows],
            },
            "certificate": {"margin": certificate.margin[rows], "radius": radius},
        },
        fix="One of the two is wrong: report it with both witnesses; trust neither number.",
    )
