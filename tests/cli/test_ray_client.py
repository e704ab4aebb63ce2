"""--on ray://host:port against a real head: the same bytes, its token, and a door that is shut."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.cli.world import WORDS, lay

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("ray", "grpc")),
        reason="Ray's client is not installed (pip install 'holdfast[ray]')",
    ),
]


class Head(NamedTuple):
    """A running head: where its client server listens, and what both sides find around them."""

    address: str
    told: dict[str, str]


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def environment(token: Path, room: Path) -> dict[str, str]:
    """Without what other tests told Ray: only a token that lies in a file, and our sources."""
    told = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return told | {
        "RAY_AUTH_TOKEN_PATH": str(token), "RAY_TMPDIR": str(room), "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(paths),
    }  # fmt: skip


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """`ray start --head` where a token lies: it asks every client for it."""
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text("5e" * 32)
    room = Path(tempfile.mkdtemp(prefix="ray"))  # names of its sockets have to be short
    told, port = environment(token, room), free_port()
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    line += [f"--port={free_port()}", f"--ray-client-server-port={port}", "--num-cpus=2"]
    line += ["--min-worker-port=0", "--max-worker-port=0", "--include-dashboard=false"]
    line += ["--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
    with (room / "head.log").open("w") as log:
        started = subprocess.Popen(
            line, env=told, cwd=room, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while not listens(port):
            said = (room / "head.log").read_text()
            assert started.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.2)
        yield Head(f"ray://127.0.0.1:{port}", told)
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        shutil.rmtree(room, ignore_errors=True)


def listens(port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0


def audited(laid: Path, folder: Path, on: str, told: dict[str, str]) -> tuple[bytes, str]:
    """What `holdfast audit` writes and says, in a process and a folder of its own."""
    shutil.copytree(laid, folder)
    line = [sys.executable, "-m", "holdfast", *WORDS, "few.toml", "--exit-zero", "--on", on]
    done = subprocess.run(line, env=told, cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob(".holdfast/runs/*/results.json")
    return file.read_bytes(), done.stderr


def test_a_client_of_a_head_gets_the_same_bytes(head, tmp_path):
    (tmp_path / "laid").mkdir()
    laid = lay(tmp_path / "laid")
    here, _ = audited(laid, tmp_path / "here", "local:1", head.told)
    there, said = audited(laid, tmp_path / "there", head.address, head.told)
    assert there == here
    assert "ray" not in said.replace(head.address, ""), "Ray says nothing of its own"


JOIN = """
import sys
from holdfast.core.errors import ConfigError
from holdfast.run.cluster import joined

try:
    with joined(sys.argv[1]) as ray:
        print(ray.cluster_resources()["CPU"])
except ConfigError as error:
    print(error)
"""


def joins(address: str, told: dict[str, str]) -> str:
    line = [sys.executable, "-c", JOIN, address]
    return subprocess.run(
        line, env=told, capture_output=True, text=True, timeout=120, check=True
    ).stdout


def test_another_token_is_told_from_an_address_where_nobody_listens(head, tmp_path):
    assert joins(head.address, head.told) == "2.0\n"
    (tmp_path / "other").write_text("0a" * 32)
    refused = joins(head.address, head.told | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "other")})
    assert refused.startswith(f"E0195  --on {head.address}: something listens there"), refused
    assert "RAY_AUTH_TOKEN" in refused.splitlines()[1]
    nobody = f"ray://127.0.0.1:{free_port()}"
    silent = joins(nobody, head.told)
    assert silent.startswith(f"E0195  --on {nobody} cannot be reached"), silent
    assert silent.rstrip().endswith(f"--ray-client-server-port={nobody.rpartition(':')[2]}")
