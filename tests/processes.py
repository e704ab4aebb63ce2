"""Starts two processes that torchrun joins to one run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def two(*words: str, folder: Path) -> subprocess.Popen[str]:
    """The start of two processes, in a folder; what they say can be read as it comes.

    Args:
        words: behind `torchrun`: a script or `-m` and a module, and its arguments.
        folder: where they run.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    more["GLOO_SOCKET_IFNAME"] = "lo"
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    return subprocess.Popen(
        [sys.executable, *launch, f"--master-port={port}", *words], cwd=folder, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | more,
    )  # fmt: skip
