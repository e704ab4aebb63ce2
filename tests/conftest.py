"""What every test may rely on: one thread, no settings of the user, data and browser if present."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator

import pytest
from tests import figures, reach

# Before anything imports torch: two workers with many threads each would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NO_CHROMIUM = "no chromium on this machine (on Debian: apt-get install chromium)"


def chromium_path() -> str | None:
    """Where Debian's Chromium (or another build of it) lies, None without one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Hold torch to one thread where collecting imported it; never import it for that."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    """Watch for networks from here on; say what a test writes that may reach for one."""
    config.addinivalue_line("markers", "reaches: looks for addresses of this machine's network")
    reach.watch()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a browser, with the reason, where there is none."""
    if item.get_closest_marker("browser") is None:
        return
    if chromium_path() is None:
        pytest.skip(NO_CHROMIUM)
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed (pip install -e '.[dev]')")


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings, caches and trusted digests of whoever runs the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "DATA", "CACHE", "STATE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that reaches for a network, whatever became of its attempt."""
    before = len(reach.SEEN)
    yield
    tried = reach.SEEN[before:]
    if request.node.get_closest_marker("reaches") is None and tried:
        request.node.user_properties.append((reach.KEY, str(len(tried))))
        pytest.fail(f"reached for a network: {'; '.join(tried[:3])}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> figures.Figure:
    """`figure("kills", 100)`: printed at the end of the run, whether the test holds or not."""
    return figures.of(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests counted."""
    told = figures.lines(terminalreporter)
    if terminalreporter.stats.get("passed"):
        told.append(f"sockets beyond this machine: {reach.count(terminalreporter)}")
    if told:
        terminalreporter.section("figures")
        for line in told:
            terminalreporter.write_line(line)
