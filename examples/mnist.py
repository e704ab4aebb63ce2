"""MNIST from beginning to end: train, audit, harden, audit again, compare.

    python examples/mnist.py --data FOLDER

FOLDER holds the four idx files of MNIST, packed or not, or a folder `mnist` with them. With the
defaults it takes up to half an hour on two cores. What it writes (weights, runs, reports) goes
into the folder named by `--out`; run again there, finished parts of the audits are kept.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from holdfast.core.catalog import build
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.readers import read_data

ARCH = f"{Path(__file__).resolve()}:network"
VERDICTS = {0: "it passes its gates", 1: "a gate fails", 3: "undecided"}


def network() -> nn.Module:
    """A small CNN for 1 x 28 x 28 images in [0, 1]: two convolutions, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def options(words: list[str] | None = None) -> argparse.Namespace:
    """What can be asked of this example."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    ask.add_argument("--data", type=Path, required=True, help="folder of the idx files")
    ask.add_argument("--out", type=Path, default=Path("mnist-example"), help="folder to write to")
    ask.add_argument("--threat", default="linf:0.1", help="what the adversary may do")
    ask.add_argument("--profile", default="standard", help="suite of the two audits")
    ask.add_argument("--rows", type=int, default=10_000, help="training images")
    ask.add_argument("--tested", type=int, default=500, help="test images that are audited")
    ask.add_argument("--epochs", type=int, default=5, help="of plain training")
    ask.add_argument("--harden-epochs", type=int, default=8, help="of TRADES, at most")
    ask.add_argument("--budget", default="5m", help="time for TRADES")
    return ask.parse_args(words)


def images(folder: Path, start: str, rows: int) -> Batches:
    """The first rows of the training (`train`) or test set (`t10k`)."""
    folder = folder / "mnist" if (folder / "mnist").is_dir() else folder
    files = sorted(folder.glob(f"{start}-images*"))
    if not files:
        raise SystemExit(f"{folder} holds no {start}-images-idx3-ubyte, packed or not")
    return read_data(files[0]).take(slice(0, rows))


def saved(rows: Batches, file: Path) -> Path:
    """The rows in a file that `holdfast` reads."""
    np.savez_compressed(file, x=np.asarray(rows.x), y=np.asarray(rows.y))
    return file


def trained(rows: Batches, epochs: int) -> nn.Module:
    """A network trained with the catalogue's recipe for plain training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = network()
    recipe = build("recipe:standard", epochs=epochs, optimizer=Later("torch:AdamW", lr=2e-3))
    recipe(model, rows, dice=Dice.of(len(rows)))
    return model


def holdfast(out: Path, *words: str | Path) -> int:
    """Run a command of holdfast in the folder of this example and show it."""
    line = [str(word) for word in words]
    print(f"\n$ holdfast {shlex.join(line)}", flush=True)
    code = subprocess.call([sys.executable, "-m", "holdfast", *line], cwd=out)
    if code not in VERDICTS or (code and line[0] != "audit"):
        raise SystemExit(code)
    return code


def started(asked: argparse.Namespace, out: Path) -> None:
    """The images and a plainly trained network, as files that `holdfast` reads."""
    begun = time.monotonic()
    learn = images(asked.data, "train", asked.rows)
    test = images(asked.data, "t10k", asked.tested)
    saved(learn, out / "train.npz")
    saved(test, out / "test.npz")
    model = trained(learn, asked.epochs)
    save_file(model.state_dict(), out / "plain.safetensors")
    with torch.no_grad():
        right = float((model(test.x).argmax(1) == test.y).double().mean())
    print(
        f"trained on {len(learn):,} images in {time.monotonic() - begun:.0f} s; "
        f"{right:.1%} of {len(test):,} test images are right"
    )


def main(words: list[str] | None = None) -> None:
    """Train, audit, harden, audit, compare."""
    begun, asked = time.monotonic(), options(words)
    out: Path = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    started(asked, out)
    about = ["--data", "test.npz", "--reference", "train.npz", "--arch", ARCH]
    about += ["--threat", asked.threat, "--profile", asked.profile]
    before = holdfast(out, "audit", "plain.safetensors", *about)
    holdfast(
        out, "harden", "plain.safetensors", "--data", "train.npz", "--arch", ARCH,
        "--recipe", "trades", "--threat", asked.threat, "--epochs", str(asked.harden_epochs),
        "--budget", asked.budget, "--output", "hard.safetensors", "--no-audit",
    )  # fmt: skip
    after = holdfast(out, "audit", "hard.safetensors", *about)
    holdfast(out, "diff", "last~1", "last")
    print(
        f"\nbefore: {VERDICTS[before]}; after: {VERDICTS[after]}; "
        f"{time.monotonic() - begun:.0f} s in all. Reports: {out / '.holdfast' / 'runs'}"
    )


if __name__ == "__main__":
    main()
