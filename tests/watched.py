"""Runs Python code in a process of its own and tells what it asked the system for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import json, socket, sys
_SEEN, _INTERNET = [], {int(socket.AF_INET), int(socket.AF_INET6)}
_REACH = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo",
          "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request", "http.client.connect"}
_START = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn"}

def _heard(event, given):
    if event == "socket.__new__" and int(given[1]) in _INTERNET:
        _SEEN.append(["socket", "an internet socket"])
    elif event in _REACH and not (event == "socket.connect" and isinstance(given[1], (str, bytes))):
        _SEEN.append(["socket", event + " " + repr(given[1:])[:200]])
    elif event in _START:
        _SEEN.append(["process", event + " " + repr(given)[:200]])

sys.addaudithook(_heard)
"""
TELL = """
json.dump(_SEEN, open(sys.argv[1], "w"))
"""


def watched(code: str, folder: Path, timeout: float = 300) -> tuple[list[tuple[str, str]], str]:
    """Run code in a folder.

    Returns:
        What was seen, as pairs of `socket` or `process` and the event; and all that was printed.
    """
    told = folder / "seen.json"
    done = subprocess.run(
        [sys.executable, "-c", HOOK + code + TELL, str(told)],
        capture_output=True, text=True, cwd=folder, timeout=timeout, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [(kind, what) for kind, what in json.loads(told.read_text())], done.stdout + done.stderr
