"""`holdfast demo`: a small network, trained and audited within a minute, without a network line."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli import options as words

if TYPE_CHECKING:
    from torch import nn

    from holdfast.cli.conduct import Audit
    from holdfast.core.data import Batches

THREAT = "linf:8/255"
_HOME = "holdfast.cli.demo"


def network(seed: int) -> nn.Module:
    """A small CNN for 1 x 8 x 8 images of ten digits, weights drawn from the seed."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip


def architecture() -> nn.Module:
    """The network of the demo with fresh weights: `--arch holdfast.cli.demo:architecture`."""
    return network(0)


def digits() -> tuple[Batches, Batches]:
    """Training and test images: every fifth of each class is kept for the test."""
    import torch

    from holdfast.readers import read_data

    whole = read_data("digits")
    test = torch.zeros(len(whole), dtype=torch.bool)
    for label in range(10):
        test[(whole.y == label).nonzero().flatten()[::5]] = True
    return whole.take((~test).nonzero().flatten()), whole.take(test.nonzero().flatten())


def learning() -> Batches:
    """The images that the network learns from: `--data holdfast.cli.demo:learning`."""
    return digits()[0]


def testing() -> Batches:
    """The images that the network is audited on: `--data holdfast.cli.demo:testing`."""
    return digits()[1]


def demo(
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    profile: Annotated[str, typer.Option(help="Which suite.")] = "quick",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report.")] = False,
) -> int:
    """Train a small CNN on digits, audit it, show the verdict and write the report.

    Needs no network and no data of yours; takes about a minute on two cores and always starts
    afresh. Ends with the exit code of the verdict.
    """
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.conduct import Outputs, conduct

    audit = prepared(seed, profile)
    audit.begun = begun
    audit.outputs = Outputs(json=json, open=open_)
    code = conduct(audit)
    print(f"  holdfast demo exits with {code}: {_MEANS.get(code, 'see above')}", file=sys.stderr)
    return code


_MEANS = {
    0: "every gate passes",
    1: "a gate fails",
    3: "undecided",
    130: "stopped before its end",
}


def prepared(seed: int, profile: str) -> Audit:
    """Train, save and lay out the audit of the demo."""
    begun = time.monotonic()
    from safetensors.torch import save

    from holdfast.cli.conduct import Audit
    from holdfast.cli.prepare import looked
    from holdfast.readers import read_model, subject
    from holdfast.run.store import Store
    from holdfast.run.writing import write
    from holdfast.suites import load
    from holdfast.threats.grammar import parse

    suite = load(profile, words.project().get("suite"))
    learn, test = digits()
    model = network(seed)
    write_to = Path(words.STORE) / "demo.safetensors"
    right = _trained(model, learn, test, seed)
    write(write_to, save(dict(model.state_dict())))
    took = time.monotonic() - begun
    said = f"trained a small CNN on digits ({len(learn):,} images) in {took:.0f} s"
    print(f"  {said}   clean accuracy {right:.1%} of {len(test)}", file=sys.stderr, flush=True)
    asked = subject(
        read_model(model), test, reference=learn, threats=(parse(THREAT),), seed=seed, make=network
    )
    # All test images of the split are measured: nothing is sampled.
    asked = replace(asked, about={**asked.about, "name": "demo", "sampled": False})
    harden = ["holdfast", "harden", str(write_to), "--data", f"{_HOME}:learning"]
    harden += ["--arch", f"{_HOME}:architecture", "--recipe", "trades", "--threat", THREAT]
    found = looked(asked)
    return Audit(
        asked, suite, Store(words.STORE), "demo", f"holdfast demo --seed {seed}",
        words.gates(), preflight=found, fresh=True, harden={THREAT: shlex.join(harden)},
    )  # fmt: skip


def _trained(model: nn.Module, learn: Batches, test: Batches, seed: int) -> float:
    """Train by the recipe of the catalogue; the share of test images that are then right."""
    from holdfast.core.catalog import build
    from holdfast.core.dice import Dice
    from holdfast.core.fields import Later
    from holdfast.run.forward import correct, outputs

    recipe = build("recipe:standard", epochs=10, optimizer=Later("torch:AdamW", lr=3e-3))
    recipe(model, learn, dice=Dice.of(len(learn), seed, "demo"))
    return float(correct(outputs(model, test.x), test.y).double().mean())
