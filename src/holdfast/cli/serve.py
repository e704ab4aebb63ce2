"""`holdfast serve`: the runs of this folder in a browser, or as files that need no server."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

STORE, PORT = ".holdfast", 8724


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; others than this machine only if you say so.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help=f"Where to listen; {PORT} or the next free one.", min=1, max=65535),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the browser.")] = False,
    token: Annotated[
        bool, typer.Option("--token/--no-token", help="Whether the address holds a key.")
    ] = True,
    export: Annotated[
        str | None, typer.Option(help="Write the pages as files into this folder and end.")
    ] = None,
) -> int:
    """Show the runs of this folder in a browser: lists, comparisons, failures, SQL, notes.

    Listens on this machine alone; the printed address holds a key that nobody else knows.
    """
    if export is not None:
        return _exported(Path(export), open_)
    from holdfast.core.errors import MissingExtra

    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise MissingExtra(
            "holdfast serve needs the packages starlette and uvicorn",
            fix="pip install 'holdfast[serve]'", code="E0608",
        ) from None  # fmt: skip
    from holdfast.core.errors import ConfigError
    from holdfast.serve.app import application
    from holdfast.serve.guardian import Guardian, is_loopback

    far = not is_loopback(host)
    if far and not token:
        raise ConfigError(
            f"serve: --no-token would show every run to whoever reaches {host}",
            fix="Leave --no-token out, or listen on 127.0.0.1.", code="E0175",
        )  # fmt: skip
    listener, number = bound(host, port)
    guardian = Guardian(host, number) if token else Guardian(host, number, key="")
    app = application(Path(STORE), guardian)
    if far:
        _say(f"warning: {host} can be reached from outside this machine, and what is sent is not")
        _say("         encrypted: whoever listens on the way reads the key and the runs")
    print(guardian.address(), flush=True)
    _say("Ctrl-C ends it")
    if open_:
        import webbrowser

        webbrowser.open(guardian.address())
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, date_header=False,
        lifespan="off", timeout_graceful_shutdown=1, h11_max_incomplete_event_size=32_768,
        limit_concurrency=64, proxy_headers=False,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # said again by the server once it has closed its doors
        uvicorn.Server(settings).run(sockets=[listener])
    return 0


def bound(host: str, port: int | None) -> tuple[socket.socket, int]:
    """A socket that listens, and its port: the one asked for, the usual one, or any free one.

    Raises:
        ConfigError: if the address cannot be had.
    """
    import socket

    from holdfast.core.errors import ConfigError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (PORT, 0) if port is None else (port,):
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
        except OSError as error:
            made.close()
            why = error.strerror or str(error)
            if port is None and number and error.errno == errno.EADDRINUSE:
                continue
            raise ConfigError(
                f"serve: cannot listen on {host}, port {number} ({why})",
                fix="Leave --host and --port out: holdfast serve", code="E0171",
            ) from None  # fmt: skip
        return made, made.getsockname()[1]
    raise ConfigError(f"serve: no free port on {host}", fix="Name one: --port", code="E0171")


def _exported(folder: Path, show: bool) -> int:
    """Write the site and say where it begins."""
    from holdfast.serve.export import export
    from holdfast.serve.shelf import Shelf

    root = Path(STORE)
    count = export(Shelf(root), folder, f"{root.resolve().parent.name}/{root.name}")
    first = folder / "index.html"
    print(first)
    _say(f"{count} pages; they open without a server")
    if show:
        import webbrowser

        webbrowser.open(first.resolve().as_uri())
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
