"""The server: addresses, and what is answered to each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from holdfast.core.errors import ConfigError
from holdfast.serve import pages
from holdfast.serve.channel import Channel
from holdfast.serve.frame import Frame
from holdfast.serve.gate import Gate, Refused, problem
from holdfast.serve.gathered import asked_of
from holdfast.serve.guardian import Guardian
from holdfast.serve.pairs import compare_page
from holdfast.serve.question import ask
from holdfast.serve.shelf import Shelf

_TYPES = {".html": "text/html", ".json": "application/json", ".md": "text/plain"}
# A report brings its own policy for scripts; without an origin it reaches nothing of ours.
SANDBOX = "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox"
_GONE = Refused(404, "Not here", "There is no such page.", "The list of runs shows what there is.")


class Rooms:
    """What is answered to each address.

    Args:
        shelf: the runs.
        gate: reads forms.
        store: name of the folder, shown on every page.
    """

    def __init__(self, shelf: Shelf, gate: Gate, store: str) -> None:
        self.shelf, self.gate = shelf, gate
        self.frame = Frame(token=gate.guardian.token, store=store)
        self.channel = Channel(shelf)

    def routes(self) -> list[Route]:
        """All addresses."""
        return [
            Route("/", self.home),
            Route("/compare", self.compare),
            Route("/runs/{run}", self.run),
            Route("/runs/{run}/failures", self.failures),
            Route("/runs/{run}/ask", self.ask, methods=["GET", "POST"]),
            Route("/runs/{run}/notes", self.notes, methods=["POST"]),
            Route("/runs/{run}/events", self.events),
            Route("/runs/{run}/files/{name}", self.file),
        ]

    async def _page(self, make: Callable[..., str], *given: object, status: int = 200,
                    **more: object) -> Response:  # fmt: skip
        """A page made beside the loop; what is not there has no page."""
        try:
            made = await run_in_threadpool(make, self.shelf, self.frame, *given, **more)
        except KeyError:
            raise _GONE from None
        return HTMLResponse(made, status_code=status)

    async def home(self, request: Request) -> Response:
        """The list of runs."""
        return await self._page(pages.runs_page, pages.Sought.read(request.query_params))

    async def run(self, request: Request) -> Response:
        """One run."""
        return await self._page(pages.run_page, request.path_params["run"])

    async def failures(self, request: Request) -> Response:
        """Its worst failures."""
        return await self._page(pages.failures_page, request.path_params["run"])

    async def compare(self, request: Request) -> Response:
        """Two runs side by side; of two that were picked, the earlier one comes first."""
        asked = request.query_params
        a, b, picked = asked.get("a", ""), asked.get("b", ""), asked.getlist("pick")
        if picked:
            order = list(await run_in_threadpool(self.shelf.rows))
            known = sorted((p for p in picked if p in order), key=order.index)
            a, b = (*known[:2], "", "")[:2]
        every = asked.get("all", "") not in ("", "0")
        return await self._page(compare_page, a, b, every=every)

    async def ask(self, request: Request) -> Response:
        """The SQL box, and answers to what is asked in it."""
        run = request.path_params["run"]
        if request.method != "POST":
            return await self._page(pages.ask_page, run)
        question = (await self.gate.form(request)).get("sql", "")
        try:
            told = await run_in_threadpool(asked_of, self.shelf, run, question)
        except KeyError:
            raise _GONE from None
        answer = await run_in_threadpool(ask, question, **told)
        return await self._page(pages.ask_page, run, question, answer)

    async def notes(self, request: Request) -> Response:
        """Add a note, or take one away."""
        run, sent = request.path_params["run"], await self.gate.form(request)
        name, said, away = sent.get("name", ""), sent.get("text", ""), sent.get("remove", "")
        try:
            notes = await run_in_threadpool(self.shelf.notes, run)
            if away:
                place = int(away) if away.isascii() and away.isdigit() and len(away) < 5 else -1
                await run_in_threadpool(notes.remove, place)
            else:
                await run_in_threadpool(notes.add, name, said)
        except KeyError:
            raise _GONE from None
        except ConfigError as error:
            told = {"wrong": pages.refused(error), "kept": (name[:200], said[:4000])}
            return await self._page(pages.run_page, run, status=422, **told)
        except OSError as error:
            told = {"wrong": f"The note could not be kept: {error.strerror}."}
            return await self._page(pages.run_page, run, status=507, **told)
        return RedirectResponse(f"/runs/{run}#notes", 303)

    async def file(self, request: Request) -> Response:
        """A file of a run; a report acts in a box of its own."""
        asked = request.path_params
        try:
            place: Path = await run_in_threadpool(self.shelf.file, asked["run"], asked["name"])
        except KeyError:
            raise _GONE from None
        return FileResponse(
            place, media_type=_TYPES[place.suffix], headers={"Content-Security-Policy": SANDBOX}
        )

    async def events(self, request: Request) -> Response:
        """How a running audit goes, told whenever it changes."""
        run = request.path_params["run"]
        try:
            await run_in_threadpool(self.shelf.folder, run)
        except KeyError:
            raise _GONE from None
        if self.channel.full:
            raise Refused(503, "Too many listeners", "Close a page that follows a running audit.")
        return StreamingResponse(self.channel.told(run, request), media_type="text/event-stream")


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refused):
        return problem(error)
    if isinstance(error, HTTPException) and error.status_code == 405:
        return problem(Refused(405, "Not this way", "This page cannot be asked like that."))
    return problem(_GONE)


async def _broken(request: Request, error: Exception) -> Response:
    says = error.says if isinstance(error, ConfigError) else "This page could not be made."
    return problem(Refused(500, "Something broke", f"{says}", "The terminal tells more."))


def application(root: Path, guardian: Guardian) -> Starlette:
    """The dashboard of one store.

    Args:
        root: the folder of the store.
        guardian: who may ask.
    """
    gate = Gate(guardian)
    shown = f"{root.resolve().parent.name}/{root.name}"
    rooms = Rooms(Shelf(root), gate, shown)
    return Starlette(
        routes=rooms.routes(),
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=gate)],
        exception_handlers={HTTPException: _refused, Refused: _refused, Exception: _broken},
    )
