"""--on: what the words name, and the same bytes wherever an audit runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from tests.cli.world import WORDS, lay

from holdfast.cli.front import run
from holdfast.cli.prepare import executor_of
from holdfast.core.errors import ConfigError
from holdfast.run.cluster import joined
from holdfast.run.executors import Local
from holdfast.run.on_ray import Ray
from holdfast.run.on_slurm import Slurm

RAY, SUBMITIT = (importlib.util.find_spec(name) is not None for name in ("ray", "submitit"))


def make():
    """Builds nothing: no worker is started here."""


@pytest.mark.parametrize(("on", "kind"), [
    ("local:3", Local), ("ray:local", Ray), ("ray:auto", Ray), ("ray://head:10001", Ray),
    ("slurm", Slurm), ("slurm:partition=gpu,jobs=4,minutes=90,memory=16", Slurm),
])  # fmt: skip
def test_words_name_who_works(on, kind):
    assert isinstance(executor_of(on, make), kind)


def test_settings_of_slurm_go_to_it():
    made = executor_of("slurm:partition=gpu,jobs=4,minutes=90,memory=16,account=a,qos=q", make)
    assert isinstance(made, Slurm) and made.jobs == 4
    assert made.asks == {
        "slurm_partition": "gpu", "slurm_account": "a", "slurm_qos": "q", "timeout_min": 90,
        "mem_gb": 16,
    }  # fmt: skip


@pytest.mark.parametrize("on", [
    "moon", "local", "local:0", "local:two", "ray", "ray:", "ray://", "ray:autox",
    "ray://head", "ray://:10001", "ray://head:port", "ray://head:10001/more", "slurm:gpu",
    "slurm:jobs=0", "slurm:jobs=x", "slurm:colour=red", "slurm:partition=", "slurm:cluster=moon",
])  # fmt: skip
def test_other_words_are_refused_with_the_ones_that_are_known(on):
    with pytest.raises(ConfigError) as caught:
        executor_of(on, make)
    assert caught.value.code == "E0108"
    assert "ray:auto" in caught.value.says and caught.value.fix == "Write local:2."


@pytest.mark.slow
def test_results_are_the_same_bytes_on_processes_ray_and_slurm(tmp_path, monkeypatch):
    laid = lay(tmp_path)
    found: dict[str, bytes] = {}
    src = Path(__file__).parents[2] / "src"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(src), os.environ.get("PYTHONPATH", "")]))
    places = ["local:1"] + RAY * ["ray:local"] + SUBMITIT * ["slurm:cluster=local,jobs=2"]
    for on in places:
        folder = tmp_path / on.partition(":")[0]
        folder.mkdir()
        for name in ("net.pt", "net.py", "rows.npz", "few.toml"):
            shutil.copy(laid / name, folder)
        monkeypatch.chdir(folder)
        words = [*WORDS, "few.toml", "--exit-zero", "--on", on]
        if on == "ray:local":
            with joined("local", 2):
                assert run(words) == 0
        else:
            assert run(words) == 0
        (file,) = folder.glob(".holdfast/runs/*/results.json")
        found[on] = file.read_bytes()
    assert len(set(found.values())) == 1, list(found)
    assert len(found) > 1, "neither Ray nor submitit is installed (holdfast[dev])"
