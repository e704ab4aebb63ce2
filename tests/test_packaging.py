"""The wheel, built from a copy of the source and installed elsewhere, is whole and works."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "holdfast"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")

# Distribution -> import name, where they differ.
IMPORTED_AS = {
    "scikit-learn": "sklearn",
    "tomli-w": "tomli_w",
    "pillow": "PIL",
    "POT": "ot",
    "vl-convert-python": "vl_convert",
    "adversarial-robustness-toolbox": "art",
    "pytest-xdist": "xdist",
}
# Libraries that a declared one is made of and documents as its own surface.
COMPANIONS = {
    "sklearn": {"joblib"},
    "jinja2": {"markupsafe"},
    "pydantic": {"annotated_types", "pydantic_core"},
}

RENDER = """
import json, sys
import holdfast
from holdfast.core.papers import papers
from holdfast.report import render_html
from importlib.resources import files

results = json.loads(sys.stdin.read())
html = render_html(results)
json.dump(
    {
        "where": holdfast.__file__,
        "version": holdfast.__version__,
        "html": html,
        "papers": sorted(papers()),
        "suites": sorted(p.name for p in files("holdfast.suites").iterdir() if p.suffix == ".toml"),
        "heavy": [name for name in ("torch", "numpy") if name in sys.modules],
    },
    sys.stdout,
)
"""

RESULTS = {
    "suite": "quick",
    "seed": 0,
    "subject": {"name": "tiny <net>", "rows": 40, "classes": ["a", "b"]},
    "verdict": {"kind": "fail", "code": 1},
    "outcomes": [
        {
            "check": "check:worst-case",
            "question": "What can an adversary reach?",
            "section": "attacks",
            "findings": [
                {
                    "severity": 2,
                    "says": "Half of the rows fall.",
                    "advice": "holdfast harden net.pt",
                    "rows": [3, 1],
                    "readings": [
                        {
                            "name": "attacks.worst@linf:8/255",
                            "value": 0.525,
                            "low": 0.36,
                            "high": 0.68,
                            "n": 40,
                            "bound": "upper",
                            "unit": "share",
                            "better": "higher",
                            "threat": "linf:8/255",
                            "seed": 0,
                            "flags": [],
                        }
                    ],
                    "figures": [],
                }
            ],
            "seconds": 0.5,
            "error": "",
            "skipped": "",
            "cell": "0" * 16,
        }
    ],
}


@dataclass(frozen=True)
class Installed:
    """A venv outside the checkout that holds the wheel and borrows everything else."""

    wheel: Path
    python: Path

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run the venv's interpreter outside the checkout, blind to PYTHONPATH."""
        done = subprocess.run(
            [str(self.python), *command],
            input=given,
            capture_output=True,
            text=True,
            cwd=self.python.parent,
            env=_clean_environment(),
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done


def _clean_environment() -> dict[str, str]:
    hidden = ("PYTHONPATH", "PYTHONHOME", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _checked(*command: str, cwd: Path) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=_clean_environment(),
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("packaging")
    tree = folder / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "LICENSE", "README.md", ".gitignore"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, tree)
    shutil.copytree(SOURCE, tree / "src" / "holdfast", ignore=CACHES)
    wheels = folder / "wheels"
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels))
    _checked(sys.executable, *build, cwd=tree)
    (wheel,) = wheels.glob("holdfast-*.whl")
    shutil.rmtree(tree)  # what works from here on works without the source

    venv = folder / "venv"
    _checked(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=folder)
    python = venv / "bin" / "python"
    pip = ("-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index")
    _checked(sys.executable, *pip, str(wheel), cwd=folder)
    (site,) = venv.glob("lib/python*/site-packages")
    # Only the dependencies are borrowed: .pth files of a borrowed folder (an editable install
    # of ourselves) are not read.
    borrowed = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (site / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n", "utf-8")
    return Installed(wheel, python)


@pytest.mark.slow
def test_a_report_renders_from_the_installed_wheel(installed):
    done = installed.run("-c", RENDER, given=json.dumps(RESULTS))
    answer = json.loads(done.stdout)
    assert Path(answer["where"]).is_relative_to(installed.python.parent.parent)
    assert answer["version"] == installed.wheel.name.split("-")[1]
    assert answer["heavy"] == []

    html = answer["html"]
    assert html.lstrip().lower().startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert "Content-Security-Policy" in html
    assert "Half of the rows fall." in html
    assert "tiny &lt;net&gt;" in html
    assert "<net>" not in html

    sources = [tomllib.loads(path.read_text("utf-8")) for path in SOURCE.glob("*/papers.toml")]
    assert answer["papers"] == sorted({key for source in sources for key in source})
    assert answer["suites"] == sorted(path.name for path in SOURCE.glob("suites/*.toml"))


def test_the_command_is_installed(installed):
    script = installed.python.parent / "holdfast"
    done = installed.run(str(script), "--help")
    for command in ("audit", "demo", "list"):
        assert command in done.stdout


def test_the_wheel_holds_every_file_of_the_package(installed):
    with zipfile.ZipFile(installed.wheel) as archive:
        packed = set(archive.namelist())
    here = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not here - packed, "in the source, not in the wheel"
    ours = {name for name in packed if name.startswith("holdfast/")}
    assert not ours - here, "in the wheel, not in the source"


@pytest.mark.parametrize(
    "pattern",
    [
        "py.typed",
        "*/papers.toml",
        "report/templates/*",
        "report/assets/*",
        "report/assets/vega/*LICENSE*",
        "suites/*.toml",
        "suites/default_gates.toml",
    ],
)
def test_the_package_has_its_data(installed, pattern):
    here = [str(Path("holdfast") / path.relative_to(SOURCE)) for path in SOURCE.glob(pattern)]
    assert here, f"the source has no {pattern}"
    with zipfile.ZipFile(installed.wheel) as archive:
        packed = archive.namelist()
    for path in here:
        assert any(name == path or name.startswith(path + "/") for name in packed), path


def test_the_wheel_says_what_it_is(installed):
    with zipfile.ZipFile(installed.wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        entries = archive.read(f"{info}/entry_points.txt").decode()
        licences = [name for name in archive.namelist() if name.startswith(f"{info}/licenses/")]
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "holdfast = holdfast.cli:main" in entries
    assert licences


def _requirements() -> dict[str, list[str]]:
    return {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]


def test_dependencies_have_lower_bounds_only():
    for extra, requirements in _requirements().items():
        for requirement in requirements:
            assert re.fullmatch(r"[A-Za-z0-9_-]+(\[[a-z,]+\])?>=[0-9.]+", requirement), (
                f"{extra}: {requirement}"
            )


def test_every_core_and_test_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    assert pins["torch"] == "2.13.0"
    needed = _requirements()
    for requirement in (*needed[""], *needed["dev"], *needed["oracle"], "torchattacks"):
        name = _name(requirement).lower().replace("_", "-")
        assert name in pins, f"{name} has no pin in constraints.txt"


def _third_parties(folder: Path) -> dict[str, Path]:
    """Top-level names that the files import from outside the standard library and this one."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            found |= {name.split(".")[0]: path for name in names}
    places = ("tests", "examples", "benchmarks")
    files = [path for place in places for path in (ROOT / place).rglob("*.py")]
    neighbours = {path.stem for path in files} | {path.parent.name for path in files}
    known = sys.stdlib_module_names | neighbours | {"holdfast", "tests", "examples"}
    return {name: path for name, path in found.items() if name not in known}


@pytest.mark.parametrize("folder", ["src", "tests", "examples", "benchmarks"])
def test_everything_imported_is_declared(folder):
    declared = {
        IMPORTED_AS.get(_name(requirement), _name(requirement).lower())
        for extra, requirements in _requirements().items()
        for requirement in requirements
        if folder != "src" or extra not in {"dev", "oracle"}
    }
    declared |= {part for name in declared for part in COMPANIONS.get(name, ())}
    if folder != "src":
        declared.add("torchattacks")  # installed by the Makefile, without what it declares
    if folder == "benchmarks":  # a peer that is measured where somebody has it
        declared |= {"imagecorruptions", "cv2"}
    loose = {n: str(p) for n, p in _third_parties(ROOT / folder).items() if n not in declared}
    assert not loose, f"imported, but in no list of pyproject.toml: {loose}"
