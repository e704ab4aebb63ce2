"""The make targets and the script of the clean clone do what the README promises."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    hidden = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTEST_ARGS", "VENV")  # of an outer make
    own = {k: v for k, v in os.environ.items() if k not in hidden}
    return subprocess.run(
        ["make", *words], capture_output=True, text=True, cwd=cwd, env=own, timeout=60, check=False
    )


def planned(target: str, tmp_path: Path) -> str:
    """The commands of a target on a machine where nothing is installed yet."""
    done = make("-n", target, f"VENV={tmp_path}/fresh")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("target", "last"),
    [
        ("demo", "holdfast demo"),
        ("test", "-m pytest"),
        ("lint", "mypy"),
        ("bench", "benchmarks/"),
        ("claims", "holdfast claim --all"),
        ("docs", "-m docs.generator"),
    ],
)
def test_every_target_installs_torch_first_with_the_pins(target, last, tmp_path):
    plan = planned(target, tmp_path)
    torch = plan.index('install --quiet  -c constraints.txt "torch==2.13.0"')
    package = plan.index("install --quiet  -c constraints.txt -e .")
    assert plan.index("-m venv") < torch < package < plan.rindex(last)


def test_lint_is_ruff_and_strict_mypy(tmp_path):
    plan = planned("lint", tmp_path)
    assert "ruff check" in plan and "ruff format --check" in plan and "mypy" in plan
    assert "strict = true" in (ROOT / "pyproject.toml").read_text("utf-8")


def installed(tmp_path: Path, code: int) -> Path:
    """A virtual environment in which all is installed and the demo ends with a code."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "holdfast").write_text(f"#!/bin/sh\necho ran $1\nexit {code}\n")
    (venv / "bin" / "holdfast").chmod(0o755)
    (venv / ".stamps").mkdir()
    for stamp in ("venv", "torch", "package"):
        (venv / ".stamps" / stamp).touch()
    return venv


@pytest.mark.parametrize("code", [0, 1, 3, 2, 4, 130])
def test_make_demo_ends_with_0_whenever_a_verdict_was_reached(code, tmp_path):
    done = make("demo", f"VENV={installed(tmp_path, code)}")
    assert (done.returncode == 0) == (code in (0, 1, 3))
    assert "ran demo" in done.stdout and f"exits with {code} " in done.stdout


def test_an_old_python_is_refused_with_a_way_out(tmp_path):
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("demo", f"PYTHON={old}", f"VENV={tmp_path}/fresh")
    assert done.returncode != 0 and "PYTHON=python3" in done.stderr


def clone(tmp_path: Path, *programs: str, broken: bool = False) -> tuple[Path, Path]:
    """A copy of the script, and a folder of stand-ins that write down how they are called."""
    (tmp_path / "tree" / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / "tree" / ".ci" / "run")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "id", "env", "cat", "sh"):
        (tools / name).symlink_to(str(shutil.which(name)))
    log, fails = tmp_path / "log", int(broken)
    for name in ("make", *programs):
        code = fails if name == "apt-get" else 0
        text = f'#!/bin/sh\necho "{name} $* data=$HOLDFAST_DATA" >> {log}\nexit {code}\n'
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tools / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tools / "sudo").chmod(0o755)
    log.touch()
    return tmp_path / "tree" / ".ci" / "run", log


def ran(script: Path, log: Path) -> list[str]:
    env = {"PATH": str(log.parent / "bin"), "HOME": str(log.parent)}
    done = subprocess.run(
        [str(script)], capture_output=True, text=True, env=env, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return log.read_text().splitlines()


def test_ci_installs_chromium_only_where_it_is_missing(tmp_path):
    there = ran(*clone(tmp_path / "a", "apt-get", "chromium"))
    assert there == ["make test data="]
    missing = ran(*clone(tmp_path / "b", "apt-get"))
    assert [line.split()[0] for line in missing] == ["apt-get", "apt-get", "make"]
    assert "install -y" in missing[1] and "chromium" in missing[1]


def test_ci_goes_on_where_chromium_cannot_be_installed(tmp_path):
    assert ran(*clone(tmp_path, "apt-get", broken=True))[-1].startswith("make test")


def test_ci_names_the_real_data_where_they_lie(tmp_path):
    script, log = clone(tmp_path, "chromium")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    assert ran(script, log) == [f"make test data={tmp_path}/shared/data"]


def test_the_readme_says_what_an_installation_pulls():
    """What a plain `pip install .` fetches, the line for a CPU build, and the pinned line."""
    words = " ".join(README.split())
    assert "plain `pip install .` takes the newest torch" in words and "CUDA" in words
    assert "pip install torch --index-url https://download.pytorch.org/whl/cpu" in words
    assert "pip install -c constraints.txt ." in words
    assert "-e '.[dev]'" in words
    for target in ("make demo", "make test"):
        assert target in words


def test_the_licence_and_the_pages_are_there():
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert "Add a method" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert (ROOT / "ARCHITECTURE.md").is_file()
