"""`holdfast attack` killed inside a search goes on, and ends with the same bytes."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.cli.world import copied, lay

from holdfast.cli import resumed
from holdfast.cli.front import run
from holdfast.cli.watched import Watched
from holdfast.run import pieces
from holdfast.run.keeper import Keeper
from holdfast.run.passes import Tap

WORDS = "attack net.pt --arch net.py:build --data rows.npz --threat linf:0.3 --attack pgd".split()
WORDS += ["--set", "steps=10", "--json"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and clocks of Linux")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return lay(tmp_path_factory.mktemp("attacked"))


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    folder = copied(world, tmp_path, monkeypatch)
    monkeypatch.setattr(resumed, "WORTH", 0.0)
    monkeypatch.setattr(pieces, "CHUNK", 32)
    return folder


def killed(passes: int, words: list[str], number: int = signal.SIGKILL) -> int:
    """The command in a fork, which is sent a signal in one of the passes of its search."""
    process = os.fork()
    if not process:
        call, seen = Tap.__call__, []

        def counted(self, x):
            seen.append(1)
            if len(seen) == passes:
                os.kill(os.getpid(), number)
            return call(self, x)

        Tap.__call__ = counted  # type: ignore[method-assign]
        for k in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), k)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os._exit(run(words))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def document(capsys) -> dict[str, object]:
    told = json.loads(capsys.readouterr().out)
    for stage in told["stages"]:
        stage.pop("seconds")
    return told | {"seconds": 0}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_inside_a_search_it_ends_with_the_same_bytes(here, capsys, number):
    assert run([*WORDS, "-o", "straight.safetensors"]) == 0
    straight = document(capsys)
    assert killed(40, [*WORDS, "-o", "other.safetensors"], number) in (-signal.SIGKILL, 130)
    kept = list(here.glob(".holdfast/pieces/*/*.safetensors"))
    assert 2 <= len(kept) < 5 and not Path("other.safetensors").exists()
    assert run([*WORDS, "-o", "other.safetensors"]) == 0
    again = document(capsys)
    assert again.pop("resumed") == 32 * len(kept) and straight.pop("resumed") == 0
    again["written"]["file"] = straight["written"]["file"]
    assert again == straight
    assert Path("other.safetensors").read_bytes() == Path("straight.safetensors").read_bytes()
    assert not (here / ".holdfast").exists(), "finished, it leaves nothing behind"


def test_it_says_that_it_goes_on_and_not_with_the_work_of_another(here, capsys):
    assert killed(40, WORDS) == -signal.SIGKILL
    assert run([*WORDS[:-1], "--seed", "1"]) == 0
    out, err = capsys.readouterr()
    assert "earlier attempt" not in out + err, "another seed is another attack"
    assert list(here.glob(".holdfast/pieces/*/*.safetensors")), "which leaves it alone"
    assert run(WORDS[:-1]) == 0
    out, err = capsys.readouterr()
    assert "went on from an earlier attempt, which had done" in out and "going on:" in err


def test_stopped_before_the_first_piece_it_leaves_nothing(here):
    assert killed(3, WORDS, signal.SIGINT) == 130
    assert not (here / ".holdfast").exists()


def test_with_helpers_the_document_is_the_same(here, capsys):
    assert run([*WORDS, "-o", "one.safetensors"]) == 0
    one = document(capsys)
    assert run([*WORDS, "-o", "two.safetensors", "--on", "local:2"]) == 0
    two = document(capsys)
    two["written"]["file"] = one["written"]["file"]
    assert one == two
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()
    assert not (here / ".holdfast").exists()
    assert run([*WORDS, "--on", "cloud"]) == 2 and "local:2" in capsys.readouterr().err


def test_where_nothing_can_be_written_it_still_attacks(here, capsys):
    (here / ".holdfast").write_text("a file is in the way")
    assert run(WORDS) == 0
    assert document(capsys)["n"] == 150


def test_json_is_quiet_and_a_terminal_hears_rows_and_time_left(here, capsys):
    assert run(WORDS) == 0
    assert "rows" not in capsys.readouterr().err
    told = Watched(io.StringIO())
    told.starts("attack:pgd", 100)
    assert told.status().startswith("0/100 rows")
    told.dealt(0, 80, 0)  # 20 are wrong without any change
    assert "eta" not in told.status() and told.status().startswith("20/100 rows")
    told.dealt(40, 80, 10)
    assert told.status().startswith("60/100 rows   50.0% stand so far, not yet checked")
    told.begun -= 60.0
    assert told.status().endswith("eta 60 s")
    told.keeper = Keeper(here)
    told.keeper.resumed = 30  # only 10 of the 40 were done in this minute
    assert told.status().endswith("eta 4:00")
    told.turns("self-checks on 64 rows")
    assert told.status().startswith("self-checks on 64 rows")
