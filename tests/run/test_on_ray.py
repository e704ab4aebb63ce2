"""On a real Ray of this machine: the same outcomes; a killed actor costs only its cell."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.run.doubles import Says, Wants, subject, suite
from tests.run.test_executors import Computes, Dies, shown
from tests.run.test_sharing import Long

from holdfast.core.errors import ConfigError, Contradiction, MissingExtra
from holdfast.run.cluster import joined
from holdfast.run.on_ray import Ray
from holdfast.run.store import Store
from holdfast.run.suite import audit

ROOT = Path(__file__).parents[2]


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed (pip install 'holdfast[ray]')",
)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray with two cores; actors find the tests as this process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        with joined("local", 2) as made:
            yield made


def other() -> Any:
    """A subject that another machine might see: one number differs."""
    made = subject()
    assert made.batches is not None
    made.batches.x[0, 0] += 0.5
    return made


def absent() -> Any:
    """What happens on a machine without the files."""
    raise FileNotFoundError("rows.npz")


UNANSWERED = """
from holdfast.core.errors import ConfigError
from holdfast.run.cluster import joined

try:
    with joined("auto"):
        pass
except ConfigError as error:
    print(error)
"""


@needs_ray
def test_a_cluster_that_does_not_answer_is_named(tmp_path):
    line = [sys.executable, "-c", UNANSWERED]
    told = os.environ | {"RAY_TMPDIR": str(tmp_path)}
    told.pop("RAY_ADDRESS", None)
    done = subprocess.run(line, env=told, capture_output=True, text=True, timeout=120)
    says = "E0195  --on ray:auto: this machine belongs to no Ray cluster"
    assert done.stdout.startswith(says), done.stderr
    assert "--on ray:local" in done.stdout


@needs_ray
def test_actors_give_bit_for_bit_what_this_process_gives(ray):
    checks = [Computes(scale=s) for s in (0.0, 0.5, 1.0)]
    checks += [Says(ends="crash"), Says(ends="unsupported"), Wants()]
    alone = audit(suite(*checks), subject())
    both = audit(suite(*checks), subject(), executor=Ray("local", subject))
    assert shown(both) == shown(alone)


@needs_ray
def test_a_killed_actor_costs_its_cell_one_more_try(ray, tmp_path):
    log, store = str(tmp_path / "log"), Store(tmp_path / "store")
    names = [f"n{k}" for k in range(6)]
    checks = [Dies(once=str(tmp_path / "died")), Dies(), *[Says(name=n, log=log) for n in names]]
    store.ledger.open_run("r", "i", "m", "s", "2020", {})
    report = audit(
        suite(*checks), subject(), executor=Ray("local", subject), store=store, run="r"
    )  # fmt: skip
    once, always, *rest = report.outcomes
    assert once.findings[0].says == "It lives." and not once.error
    assert always.error == "the process that ran it died twice"
    assert all(o.readings for o in rest)
    assert sorted(Path(log).read_text().split()) == names, "no other cell ran twice"
    with sqlite3.connect(store.ledger.path) as link:
        entered = [name for (name,) in link.execute("SELECT cell FROM cells")]
    assert len(entered) == len(set(entered)) == len(checks)


@needs_ray
def test_an_idle_actor_helps_with_the_last_cell(ray, tmp_path):
    log = str(tmp_path / "log")
    asked, store = suite(Says(), Long(log=log)), Store(tmp_path / "store")
    both = audit(asked, subject(), store=store, executor=Ray("local", subject))
    alone = audit(suite(Says(), Long()), subject())
    assert [o.findings for o in both.outcomes][1] == [o.findings for o in alone.outcomes][1]
    assert len(set(Path(log).read_text().split())) == 2
    assert not list(store.pieces.rglob("*.safetensors"))


@needs_ray
def test_a_contradiction_comes_back_with_both_witnesses(ray):
    with pytest.raises(Contradiction) as caught:
        audit(suite(Says(ends="contradiction")), subject(), executor=Ray("local", subject))
    assert caught.value.witnesses == {"attack": "1", "certificate": "2"}


@needs_ray
@pytest.mark.parametrize(("make", "says"), [(other, "differ"), (absent, "rows.npz")])
def test_a_machine_that_sees_other_files_is_not_asked(ray, make, says):
    with pytest.raises(ConfigError, match=says) as caught:
        audit(suite(Says()), subject(), executor=Ray("local", make))
    assert caught.value.code == "E0194" and caught.value.fix


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    heard = signal.getsignal(signal.SIGTERM)
    with pytest.raises(MissingExtra, match="not installed") as caught:
        audit(suite(Says()), subject(), executor=Ray("local", partial(subject)))
    assert caught.value.fix == "pip install 'holdfast[ray]'"
    assert signal.getsignal(signal.SIGTERM) is heard
