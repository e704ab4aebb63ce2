"""Equal digests mean equal contents: no two of these may collide, and equals must agree."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.testing.worlds import Noise, two_class


def scaled(factor: float):
    def scale(x: Tensor) -> Tensor:
        return factor * x

    return scale


class Acting(nn.Module):
    def __init__(self, act, share: float = 0.5) -> None:
        super().__init__()
        self.act, self.share = act, share
        self.register_buffer("hidden", torch.tensor([share]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


class Plain:
    def __init__(self, value: object) -> None:
        self.value = value

    def __call__(self, x: Tensor) -> Tensor:
        return x


A, B = nn.Linear(2, 2), nn.Linear(2, 2)
T = torch.arange(6.0)
DIFFERENT = [
    ["ab", "c"], ["a", "bc"], ["abc"], "abc", b"abc", ["a", ["b", "c"]], ["a", "b", "c"], [], {},
    "", None, "None", "NoneType None", "plain NoneType 4;None", 0, False, 0.0, -0.0, "0", 1, True,
    1.0, "int 1", float("nan"), float("inf"), 1j, {"a": 1}, {"a": "1"}, {1: "a"}, {"1": "a"},
    ["a", 1], {"a": {"b": 1}}, {"a": ["b", 1]}, {1, 2}, [1, 2], [1, 2, [3]], range(3), [0, 1, 2],
    T, T.double(), T.reshape(2, 3), T.reshape(3, 2), T.reshape(2, 3).T, -T, T.tolist(), T.long(),
    torch.tensor([0.0]), torch.tensor([-0.0]), torch.tensor([float("nan")]), torch.tensor(0.0),
    T.reshape(2, 3).to_sparse(), torch.zeros(0), torch.zeros(0, 3), np.arange(6.0),
    np.arange(20_000), np.r_[np.arange(10_000), -1, np.arange(10_001, 20_000)],
    np.array([1, "a"], dtype=object), torch.float32, torch.device("cpu"),
    PGD(), PGD(steps=3), PGD(climb="dlr"), PGD, scaled(1.0), scaled(2.0), lambda x: x + 1,
    lambda x: x * 2, lambda x, k=1: x + k, lambda x, k=2: x + k, lambda x, *, k=2: x + k,
    partial(scaled, 1.0), partial(scaled, factor=1.0), torch.relu, torch.sigmoid, F.relu, F.gelu,
    A.forward, B.forward, A, B, [A, B], [B, A], Acting(F.relu), Acting(F.gelu),
    Acting(F.relu, 0.25), Acting(lambda x: x), Acting(lambda x: x + 1), Plain(1), Plain(2),
    Noise(A, 0.1), Noise(A, 0.2), Dice.of(3), Dice.of(4), Dice(0, torch.tensor([2, 1, 0])),
    Dice.of(3, seed=1), Dice.of(3, stream="a"), object(), object(),
]  # fmt: skip


def test_different_contents_have_different_digests() -> None:
    found = [digest(thing) for thing in DIFFERENT]
    same = [(DIFFERENT[i], DIFFERENT[j])
            for i, j in combinations(range(len(found)), 2) if found[i] == found[j]]  # fmt: skip
    assert not same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], (1, 2)), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({2, 1}, {1, 2}),
        (0.5, np.float64(0.5)), (T, T.clone()), (T.reshape(2, 3), T.clone().view(2, 3)),
        (T.reshape(2, 3).T, T.reshape(2, 3).T.contiguous()), (scaled(2.0), scaled(2.0)),
        (PGD(steps=3), PGD(steps=3)), (Acting(F.relu), Acting(F.relu)), (Plain([1]), Plain([1])),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (torch.ones(2, requires_grad=True), torch.ones(2)), (float("nan"), float("nan")),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
    ],
)  # fmt: skip
def test_equal_contents_have_equal_digests(one: object, other: object) -> None:
    assert digest(one) == digest(other)


def test_things_that_hold_themselves_have_a_digest() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    other: list[object] = [2]
    other.append(other)
    assert digest(loop) == digest(loop) != digest(other)

    def recursive(n: int) -> int:
        return recursive(n - 1) if n else 0

    assert digest(recursive) == digest(recursive)


def test_a_module_with_a_logger_or_a_lock_keeps_its_digest() -> None:
    found = set()
    for _ in range(2):
        model = Acting(F.relu)
        model.log, model.lock = logging.getLogger("x"), threading.Lock()
        model.draws, model.held = np.random.default_rng(), [threading.Lock()]
        found.add(digest(model))
    assert len(found) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traced_graph_is_its_code() -> None:
    class Two(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor

    traced = partial(torch.jit.trace, example_inputs=torch.ones(1))
    for made in (torch.fx.symbolic_trace, traced, torch.jit.script):
        assert digest(made(Two(2.0))) == digest(made(Two(2.0))) != digest(made(Two(3.0)))


def test_the_mode_of_a_module_is_not_its_content_and_weights_are() -> None:
    model = two_class().model
    before = digest(model)
    assert digest(model.train()) == digest(model.eval()) == before
    with torch.no_grad():
        model.bias[0] += 1e-12
    assert digest(model) != before


def test_another_process_finds_the_same_digests() -> None:
    code = (
        "import torch.nn.functional as F, torch\n"
        "from holdfast.core.digest import digest\n"
        "from holdfast.attacks.pgd import PGD\n"
        "print(digest([{'a', 'b', 'c'}, PGD(), F.relu, lambda x: x in {'u', 'v'}, torch.ones(3)]))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


def test_a_library_in_a_closure_is_its_name_and_shared_parts_are_walked_once():
    import json

    def make(scale):
        import torch as library

        def model(x):
            return library.relu(x) * scale + len(json.__name__)

        return model

    assert digest(make(2.0)) == digest(make(2.0)) != digest(make(3.0))
    deep = [1.0]
    for _ in range(200):  # 2 to the 200 ways lead to the number
        deep = [deep, deep]
    other = [2.0]
    for _ in range(200):
        other = [other, other]
    assert digest(deep) == digest(deep) != digest(other)
    assert digest([[1], [1]]) == digest([[1]] * 2)  # sharing is no difference
    ring: list[object] = [1]
    ring.append(ring)
    twin: list[object] = [1]
    twin.append(twin)
    assert digest(ring) == digest(twin) == digest([ring, 0][0])
