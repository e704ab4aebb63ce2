"""Decides a property of a network: a witness, a proof, or neither in time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from holdfast.certify.network.graph import Graph
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.properties.property import Case, Property
from holdfast.certify.properties.question import Question, Replay, Witness
from holdfast.certify.reading.reader import read
from holdfast.certify.search.branch import prove
from holdfast.core.dice import Dice
from holdfast.core.errors import ShapeError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import quiet

SHARE = 0.1  # of the time, at most, for the first look for a witness
PROBES = 4


@dataclass(frozen=True, eq=False)
class Verification:
    """What is known about a property.

    Args:
        answer: `unsat` (proved: no input of the boxes is unsafe), `sat` (a witness was replayed),
            or `unknown`.
        witness: where `sat`.
        proof: where `unsat` and recorded.
        seconds: in all.
        stages: seconds by stage.
        reason: why it is unknown.
        domains: how many parts of the input space were bounded.
    """

    answer: str
    witness: Witness | None = None
    proof: Proof | None = None
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    domains: int = 0


def verify(
    model: Model,
    prop: Property,
    *,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
    timeout: float = 60.0,
    attack: bool = True,
    record: bool = False,
    replay: Replay | None = None,
    dice: Dice | None = None,
) -> Verification:
    """Decide whether a network can reach an unsafe set.

    A short search for a witness comes first, then branch and bound over every box; what it
    proposes as a witness is replayed. `unsat` is sound: bounds are rounded outward, cover the
    rounding of the model's own type, and what is not finite proves nothing. `sat` is replayed and
    holds exactly, without a tolerance.

    Args:
        model: inputs -> outputs, rows first, in evaluation mode.
        prop: the unsafe set.
        shape: of one row; that of the model (`model.shape`) or flat unless given.
        dtype: of the model's input.
        timeout: in seconds, not counting the reading of files.
        attack: whether witnesses are looked for before and after the proof.
        record: whether a proof for the checker is kept.
        replay: inputs `(1, *shape)` -> outputs of the original network; the model unless given.
        dice: of the search for witnesses.

    Raises:
        ShapeError: if the property is about another number of inputs or outputs.
    """
    begun = time.monotonic()
    row = tuple(shape if shape is not None else getattr(model, "shape", (prop.inputs,)))
    _fitting(model, prop, row, dtype)

    def by_model(x: Tensor) -> list[float]:
        with quiet(model), torch.no_grad():
            found: list[float] = logits(model(x)).double().reshape(-1).tolist()
        return found

    asked = Question(
        model, prop, row, dtype, replay or by_model, dice or Dice.of(1), begun + timeout
    )
    answer, reason, proof = _decided(asked, attack=attack, record=record, share=SHARE * timeout)
    return Verification(
        answer, asked.witness, proof, time.monotonic() - begun, asked.stages, reason, asked.domains
    )


def _fitting(model: Model, prop: Property, row: tuple[int, ...], dtype: torch.dtype) -> None:
    """Refuse a property of another network."""
    with quiet(model), torch.no_grad():
        fits = math.prod(row) == prop.inputs
        y = logits(model(torch.zeros(1, *row, dtype=dtype))).numel() if fits else prop.outputs
    if not fits or y != prop.outputs:
        has = f"{math.prod(row)} inputs" if not fits else f"{y} outputs"
        wants = f"{prop.inputs} inputs" if not fits else f"{prop.outputs} outputs"
        raise ShapeError(
            f"the network has {has}, the property declares {wants}",
            fix="Check that network and specification belong together.", code="E0208",
        )  # fmt: skip


def _decided(
    asked: Question, *, attack: bool, record: bool, share: float
) -> tuple[str, str, Proof | None]:
    """Answer, reason where unknown, and proof."""
    cases = [case for case in asked.prop.cases if case.unsafe]
    if attack:
        until = time.monotonic() + share
        if any(asked.attack(case, until, rounds=1) for case in cases):
            return "sat", "", None
    proofs: list[tuple[Proof, list[int]]] = []
    reason = ""
    for case in cases:
        try:
            answer, proof = _proved(asked, case, record=record)
        except Unsupported as error:
            answer, proof, reason = "unknown", None, error.says
        if answer == "sat":
            return "sat", "", None
        if answer != "unsat":
            reason = reason or "no proof and no witness in time"
            break
        if proof is not None:
            proofs.append((proof, [way.number for way in case.unsafe]))
    if not reason:
        return "unsat", "", Proof.joined(proofs) if record and len(proofs) == len(cases) else None
    while attack and time.monotonic() < asked.deadline:
        if any(asked.attack(case, asked.deadline, rounds=8) for case in cases):
            return "sat", "", None
        asked.dice = asked.dice.spawn("again")
        if asked.stages["attack"] > 4 * share:
            break
    if asked.rejected:
        reason += f"; {asked.rejected} candidates did not hold when they were replayed"
    return "unknown", reason, None


def _proved(asked: Question, case: Case, *, record: bool) -> tuple[str, Proof | None]:
    """Branch and bound over one box, in which witnesses were sought before."""
    start = time.monotonic()
    network, disjuncts = asked.joint(case)
    low, high = (end.reshape(asked.shape) for end in case.reached(asked.dtype))
    graph = _graph(network, low, high, asked)
    asked.stages["read"] = asked.stages.get("read", 0.0) + time.monotonic() - start
    start = time.monotonic()
    found = prove(graph, low, high, disjuncts, deadline=asked.deadline, record=record, attack=False)
    asked.stages["prove"] = asked.stages.get("prove", 0.0) + time.monotonic() - start
    asked.domains += found.domains
    if found.answer == "sat" and (
        found.witness is None or not asked.accepts(case, found.witness.reshape(-1))
    ):
        return "unknown", None
    return found.answer, found.proof if isinstance(found.proof, Proof) else None


def _graph(model: Model, low: Tensor, high: Tensor, asked: Question) -> Graph:
    """The model as a graph, compared with it at points of the box."""
    share = asked.dice.spawn("probes").uniform((PROBES, *low.shape)).double()[0]
    points = (low + share * (high - low)).to(asked.dtype)
    return read(model, points)
