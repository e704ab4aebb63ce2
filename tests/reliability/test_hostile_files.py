"""Hostile files: none is executed, each is refused by its code, and memory stays bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.watched import watched

pytest.importorskip("onnx")

from tests.reliability.hostile_models import LIMIT, MODELS, Case
from tests.reliability.hostile_rows import DATA, SETTINGS

MEMORY = 256 << 20  # above what the program takes before it reads anything
EVERY: dict[str, Case] = MODELS | DATA | SETTINGS
# One process reads them all and tells what came back, what it asked of the system, what it took.
CODE = """
import resource
from pathlib import Path
from tests.reliability.test_hostile_files import answered
from tests.reliability.hostile_rows import DATA
from tests.reliability.test_hostile_files import EVERY
made = {}
for k, (name, case) in enumerate(EVERY.items()):
    folder = Path(f"files/{k}")
    folder.mkdir(parents=True)
    made[name] = case.make(folder, Path("marker").resolve())
answered("a good table", made["table: names every file"])  # imports what is imported late
answered("model: good", made["python files beside weights"])
_SEEN.clear()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told = {name: answered(name, path) for name, path in made.items()}
took = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
Path("told.json").write_text(json.dumps({"told": told, "took": took}))
"""


def answered(name: str, path: Path) -> str:
    """The code that refuses a file; `read` if it is read; else what went wrong."""
    from holdfast.core.errors import HoldfastError
    from holdfast.readers import read_data, read_model
    from holdfast.readers.vnnlib import read_property
    from holdfast.run.gates import read_gates
    from holdfast.suites import load

    try:
        if name.startswith(("model", "safetensors", "onnx", "python")):
            read_model(path, max_bytes=LIMIT)
        elif name.startswith("toml"):
            read_gates(path)
            load(str(path))
        elif name.startswith("vnnlib"):
            read_property(path)
        else:
            read_data(path, target="y", max_bytes=LIMIT)
    except HoldfastError as error:
        return error.code if error.fix else f"{error.code} without a fix: {error}"
    except Exception as error:
        return f"crash: {type(error).__name__}: {str(error)[:200]}"
    return "read"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What became of each file, and the events and the bytes that all of them took."""
    folder = tmp_path_factory.mktemp("hostile")
    root = Path(__file__).parents[2]
    seen, _ = watched(f"import sys; sys.path.insert(0, {str(root)!r})\n{CODE}", folder)
    found = json.loads((folder / "told.json").read_text())
    return found["told"], found["took"], seen, (folder / "marker").exists()


@pytest.mark.parametrize("name", EVERY)
def test_each_is_refused_by_its_code_or_read_as_what_it_shows(name, told):
    answer, codes = told[0][name], EVERY[name].codes
    assert answer.startswith(codes) if codes else answer == "read", answer


def test_nothing_is_executed_and_memory_stays_bounded(told, figure):
    answers, took, seen, marked = told
    asked = [sum(kind == k for kind, _ in seen) for k in ("process", "socket")]
    figure("hostile files", f"{len(answers)}; executed: {int(marked)}, processes started: "
           f"{asked[0]}, sockets opened: {asked[1]}, memory taken: {took >> 20} MB")  # fmt: skip
    assert len(answers) >= 40 and not marked and seen == [] and took <= MEMORY
