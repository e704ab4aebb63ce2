"""Commands in forks of one process that has imported everything: a kill costs no imports.

Started as a script, this reads one JSON document a line ({"folder", "words", "kill"}) and answers
with one ({"code", "seconds"}); `kill` is [signal, seconds after the fork] or null.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Forks:
    """The client: `run` forks, waits, kills if asked to."""

    def __init__(self) -> None:
        line = [sys.executable, str(Path(__file__))]
        self.server = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == "ready\n"

    def run(
        self,
        folder: Path,
        words: list[str],
        kill: tuple[int, float] | None = None,
        again: float = 0.0,
    ) -> dict[str, Any]:
        """One command in a folder; its streams are in the files `out` and `err` of the folder.

        Args:
            folder: where it runs.
            words: what stands behind `holdfast`.
            kill: a signal and when it is sent, in seconds after the start.
            again: seconds until the signal is sent a second time; 0 never.
        """
        assert self.server.stdin is not None and self.server.stdout is not None
        asked = {"folder": str(folder), "words": words, "kill": kill, "again": again}
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        answer: dict[str, Any] = json.loads(self.server.stdout.readline())
        return answer

    def close(self) -> None:
        """End the server."""
        self.server.communicate(timeout=60)


def child(folder: str, words: list[str], streams: str = ".") -> None:
    """The command itself, in a fork; what it prints goes to `out` and `err` in `streams`."""
    from holdfast.cli.front import run

    os.setsid()
    os.chdir(folder)
    sys.path.insert(0, folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{streams}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 99
    try:
        code = run(words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def processor(process: int) -> float:
    """Seconds of the processor that a process has used: its clock, as Linux numbers them."""
    try:
        return time.clock_gettime((~process << 3) | 2)
    except OSError:
        return 0.0


def warm() -> None:
    """One audit in this process, so that no fork has to import anything."""
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT))
    from tests.cli.world import WORDS, lay

    from holdfast.cli.front import run

    with tempfile.TemporaryDirectory() as folder:
        lay(Path(folder))
        here = os.getcwd()
        os.chdir(folder)
        kept = os.dup(1)
        os.dup2(2, 1)
        run([*WORDS, "all.toml", "--junit", "junit.xml"])
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.chdir(here)


def serve() -> None:
    """Import what an audit needs, then fork for every line."""
    warm()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.monotonic()
        process = os.fork()
        if process == 0:
            child(asked["folder"], asked["words"])
        asked_to_end = spent = 0.0
        if asked["kill"]:
            number, moment = asked["kill"]
            time.sleep(moment)
            asked_to_end, spent = time.monotonic(), processor(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, number)  # as a terminal does: the whole group
                if asked["again"]:
                    time.sleep(asked["again"])
                    os.killpg(process, number)
        _, status, used = os.wait4(process, 0)
        ended = time.monotonic()
        answer = {
            "code": os.waitstatus_to_exitcode(status), "seconds": ended - begun,
            "after": ended - asked_to_end if asked_to_end else 0.0,
            "cpu_after": used.ru_utime + used.ru_stime - spent if asked_to_end else 0.0,
        }  # fmt: skip
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
