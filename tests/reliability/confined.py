"""A process in namespaces of its own: it may mount small disks, or has no network at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def confined(*flags: str) -> list[str]:
    """The words in front of a command that runs it confined; skips where that is not allowed."""
    tool = shutil.which("unshare")
    if tool is None:
        pytest.skip("no unshare on this machine (util-linux)")
    words = [tool, "--user", "--map-root-user", *flags]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"namespaces are not allowed here: {tried.stderr.strip()}")
    return words


def python(words: list[str], code: str, *given: str, timeout: float = 300) -> Any:
    """Run Python code confined; what it prints last is a JSON document."""
    done = subprocess.run(
        [*words, sys.executable, "-c", code, *given], capture_output=True, text=True,
        timeout=timeout, check=False, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
