"""`holdfast demo`: a small network, trained and audited within a minute, without a network line."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import nn

    from holdfast.core.data import Batches

FOLDER = Path(".holdfast")


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


def train(model: nn.Module, rows: Batches, *, epochs: int, seed: int) -> None:
    """Adam on the cross-entropy; every shuffle belongs to the seed."""
    import torch
    import torch.nn.functional as F

    from holdfast.core.dice import Dice

    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    dice = Dice.of(len(rows), seed, "demo")
    model.train()
    for epoch in range(epochs):
        for batch in rows.draw(dice.spawn(f"epoch{epoch}")):
            optimizer.zero_grad()
            F.cross_entropy(model(batch.x), batch.y).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def digits() -> tuple[Batches, Batches]:
    """Training and test images: every fifth of each class is kept for the test."""
    import torch
    from sklearn.datasets import load_digits

    from holdfast.core.data import Batches

    raw = load_digits()
    x = torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(raw.target, dtype=torch.int64)
    test = torch.zeros(len(y), dtype=torch.bool)
    for label in range(10):
        test[(y == label).nonzero().flatten()[::5]] = True
    names = tuple(str(d) for d in range(10))
    whole = Batches(x=x, y=y, classes=names)
    return whole.take((~test).nonzero().flatten()), whole.take(test.nonzero().flatten())


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
    from holdfast.cli.conduct import Outputs, conduct

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    audit: Any = prepared(seed, profile)
    audit.outputs = Outputs(json=json, open=open_)
    return conduct(audit)


def prepared(seed: int, profile: str) -> Any:
    """Train, save and lay out the audit of the demo."""
    begun = time.monotonic()
    import torch
    from safetensors.torch import save

    from holdfast.cli.audit import looked
    from holdfast.cli.conduct import Audit
    from holdfast.cli.options import gates
    from holdfast.core.records import Subject
    from holdfast.run.store import Store
    from holdfast.run.writing import write
    from holdfast.suites import load
    from holdfast.threats.grammar import parse

    suite = load(profile)
    learn, test = digits()
    model = network(seed)
    train(model, learn, epochs=15, seed=seed)
    write(FOLDER / "demo.safetensors", save(dict(model.state_dict())))
    with torch.no_grad():
        right = float((model(test.x).argmax(1) == test.y).float().mean())
    took = time.monotonic() - begun
    said = f"trained a small CNN on digits ({len(learn):,} images) in {took:.0f} s"
    print(f"  {said}   clean accuracy {right:.1%}", file=sys.stderr, flush=True)
    asked = Subject(
        model=model, batches=test, trusted=learn, make=network, threats=(parse("linf:8/255"),),
        seed=seed, about={"name": "demo", "data": {"name": "digits"}},
    )  # fmt: skip
    limits = gates()
    weights = FOLDER / "demo.safetensors"
    arch = "--arch holdfast.cli.demo:architecture"
    return Audit(
        asked, suite, Store(FOLDER), "demo", f"holdfast demo --seed {seed}",
        limits,
        preflight=looked(asked), fresh=True,
        harden=f"holdfast harden {weights} --data digits --recipe trades --budget 3m {arch}",
    )  # fmt: skip
