"""The example with real data, made small: where HOLDFAST_DATA names a folder that holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mnist.py"
FOLDER = Path(os.environ.get("HOLDFAST_DATA", ""), "mnist")
SMALL = ("--profile", "quick", "--rows", "1500", "--tested", "100", "--epochs", "3")


def worst(results):
    """The one number per threat that the whole example is about."""
    readings = [r for o in results["outcomes"] for f in o["findings"] for r in f["readings"]]
    (found,) = [r for r in readings if r["name"] == "attacks.worst@linf:0.1"]
    return found["value"]


@pytest.mark.skipif(
    not os.environ.get("HOLDFAST_DATA") or not FOLDER.is_dir(),
    reason="HOLDFAST_DATA names no folder that holds mnist",
)
@pytest.mark.slow
def test_the_example_runs_from_training_to_the_comparison(tmp_path):
    words = ["--data", str(FOLDER.parent), "--out", str(tmp_path), *SMALL, "--harden-epochs", "2"]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sorted((tmp_path / ".holdfast" / "runs").glob("*/results.json"))
    plain, hard = sorted(
        (json.loads(run.read_text("utf-8")) for run in runs),
        key=lambda r: r["subject"]["name"] == "hard.safetensors",
    )
    assert plain["suite"] == hard["suite"] == "quick"
    assert worst(hard) > worst(plain)  # what hardening is for
    assert (tmp_path / "hard.safetensors").is_file() and "attacks.worst" in done.stdout


def test_without_the_files_it_says_what_is_missing(tmp_path):
    words = ["--data", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "holds no train-images" in done.stderr
