"""Any attack, threat, shape, type and chunk: an honest result or a clear refusal."""

from __future__ import annotations

import warnings
from math import prod

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from torch import Tensor, nn

from holdfast.core.catalog import entries, resolve, with_settings
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError, Unsupported
from holdfast.core.goal import Goal, Targeted, Untargeted
from holdfast.core.kinds import Attack, Threat
from holdfast.run.search import Found, search
from holdfast.testing.conform import subject_of
from holdfast.threats.grammar import parse

ATTACKS = {e.key: e for e in entries("attack")}
DEAR = {"attack:all-edits", "attack:md", "attack:ensemble"}
LEAST = {"steps": 3, "samples": 3, "rounds": 2, "tries": 8, "members": 2}
OF_A_ROW = {"restarts": 2, "targets": 2}
SPECS = (
    "linf:0.1", "linf:0", "l2:0.5", "l2:0", "l1:1", "l0:2", "patch:2x2", "frame:1", "rotation:20",
    "translation:0.2", "rotation:20+translation:0.1", "shared+linf:0.1", "linf:3:-2..5",
)  # fmt: skip
SHAPES = ((6,), (1,), (5, 2), (3, 4, 5), (1, 1, 1))
TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
TOKENS = ("substitutions:2:8", "slots:0:8")
ROOM = {torch.float16: 0.02, torch.bfloat16: 0.1, torch.float32: 1e-4}


class Counted(nn.Module):
    """A model that counts rows below everything the harness does."""

    def __init__(self, shape: tuple[int, ...], kind: torch.dtype, classes: int, seed: int) -> None:
        super().__init__()
        inner = kind if kind.is_floating_point else torch.float32
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(prod(shape), classes, generator=draw, dtype=torch.float64)
        self.weight = nn.Parameter(weight.to(inner))
        self.forwards = self.backwards = 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        out = torch.tanh(x.to(self.weight).flatten(1) - 0.5) @ self.weight
        if out.requires_grad:
            out.register_hook(lambda gradient: self._back(len(gradient)))
        return out

    def _back(self, count: int) -> None:
        self.backwards += count


def least(method: Attack, limits: dict[str, int] = LEAST) -> Attack:
    """The same attack with as little work as its settings allow."""
    if row := getattr(method, "attacks", ()):
        parts = tuple(least(resolve(part), LEAST | OF_A_ROW) for part in row)
        return with_settings(method, attacks=parts)
    for name, value in limits.items():
        own = getattr(method, name, None)
        if isinstance(own, int) and own > value:
            method = with_settings(method, **{name: value})
    return with_settings(method, tier="fast") if hasattr(method, "tier") else method


def inputs(shape: tuple[int, ...], kind: torch.dtype, rows: int, spec: str, seed: int) -> Tensor:
    drawn = torch.rand(rows, *shape, generator=torch.Generator().manual_seed(seed))
    if not kind.is_floating_point:
        return (drawn * 8).long()
    threat = parse(spec)
    return (threat.low + (threat.high - threat.low) * drawn).to(kind)


def honest(found: Found, model: Counted, x: Tensor, goal: Goal, spec: str) -> None:
    """What must be true of every result."""
    threat, rows = parse(spec), len(x)
    room = ROOM.get(x.dtype, 1e-9)
    own = (found.passes.forwards, found.passes.backwards)
    assert own == (model.forwards, model.backwards), "passes are not those of the model"
    sums = [sum(getattr(s, n) for s in found.stages) for n in ("forwards", "backwards", "broken")]
    assert sums == [*own, int(found.broken.sum())], "stages do not add up"
    assert found.by is not None and torch.equal(found.by >= 0, found.broken)
    assert len(found.margin) == len(found.clean) == len(found.change) == rows
    assert found.change.dtype == threat.none(x).dtype
    if rows:
        assert (threat.size(x, found.change) <= 1 + max(room, 1e-5)).all(), "left its threat"
        with torch.no_grad():
            again = goal(threat.through(model, x, found.change))
        assert (again - found.margin).abs().max() <= room * (1 + again.abs().max())
    if not getattr(threat, "coupled", False):
        assert (found.margin >= found.clean).all(), "worse than nothing"
    if spec.endswith(":0"):
        assert torch.equal(found.margin, found.clean), "gained at radius 0"


@st.composite
def cases(draw: st.DrawFn, words: bool) -> dict[str, object]:
    whole = words or draw(st.integers(0, 15)) == 15  # whole numbers under a threat to reals, too
    return {
        "spec": draw(st.sampled_from(TOKENS if words else SPECS)),
        "shape": (5,) if words else draw(st.sampled_from(SHAPES)),
        "kind": torch.int64 if whole else draw(st.sampled_from(TYPES)),
        "rows": draw(st.integers(0, 5)),
        "classes": draw(st.integers(2, 5)),
        "chunk": draw(st.sampled_from((None, 1, 2))),
        "targeted": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**20)),
        "times": 1 if words else draw(st.sampled_from((1, 1, 1, 255))),  # bytes, not shares of one
    }


def tried(method: Attack, case: dict) -> None:  # type: ignore[type-arg]
    model = Counted(case["shape"], case["kind"], case["classes"], case["seed"])
    x = inputs(case["shape"], case["kind"], case["rows"], case["spec"], case["seed"])
    x = x * case["times"]
    y = torch.arange(len(x)) % case["classes"]
    goal = Targeted(y) if case["targeted"] else Untargeted(y)
    before, dice = x.clone(), Dice.of(len(x), seed=case["seed"])
    try:
        threat = parse(case["spec"])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = search(method, model, x, goal, threat, dice=dice, chunk=case["chunk"])
    except HoldfastError as refused:
        assert len(refused.says) > 10, "a refusal says why"
        return
    assert torch.equal(x, before), "inputs were changed"
    if x.numel() and x.max() > threat.high + 1 and type(threat).through is Threat.through:
        assert any("inputs lie in" in str(s.message) for s in said), "silent about the range"
    honest(found, model, x, goal, case["spec"])


@pytest.mark.parametrize("key", ATTACKS)
def test_every_attack_is_honest_or_refuses(key: str) -> None:
    method = least(subject_of(ATTACKS[key]))

    @bounded(
        max_examples=2 if key in DEAR else 20, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases(bool(getattr(method, "discrete", False))))
    def honest_or_refused(case: dict) -> None:  # type: ignore[type-arg]
        tried(method, case)

    honest_or_refused()


@pytest.mark.parametrize("spec", ["linf:0.1", "l2:0.5"])
def test_norms_are_refused_by_none_of_the_usual_attacks(spec: str) -> None:
    """The properties above would hold of attacks that refuse everything."""
    for key in ("pgd", "apgd", "square", "ensemble", "fmn", "fab", "hopskipjump"):
        for kind in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            case = {"spec": spec, "shape": (3, 4, 5), "kind": kind, "rows": 3, "classes": 3}
            method = least(subject_of(ATTACKS[f"attack:{key}"]))
            model = Counted((3, 4, 5), kind, 3, 0)
            x = inputs((3, 4, 5), kind, 3, spec, 0)
            with torch.no_grad():
                goal = Untargeted(model(x).argmax(1))
            model.forwards = 0
            try:
                found = search(method, model, x, goal, parse(case["spec"]))  # type: ignore[arg-type]
            except Unsupported as refused:
                raise AssertionError(f"{key} refuses {spec} in {kind}: {refused.says}") from None
            honest(found, model, x, goal, spec)
