"""What stands before every page: host, key, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from holdfast.serve import pages
from holdfast.serve.frame import Frame, policy
from holdfast.serve.guardian import Guardian

BODY, FIELDS = 65_536, 12  # bytes and fields of a form
Next = Callable[[Request], Awaitable[Response]]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not served, with the reason.

    Args:
        status: of the answer.
        title: heading of the page.
        says: what was wrong.
        fix: what helps.
        command: that a terminal is given for it.
    """

    def __init__(
        self, status: int, title: str, says: str, fix: str = "", command: str = ""
    ) -> None:
        super().__init__(says)
        self.status, self.title, self.says, self.fix = status, title, says, fix
        self.command = command


def problem(told: Refused) -> HTMLResponse:
    """The page of a refusal."""
    page = pages.problem_page(
        Frame(), told.title, told.says, told.fix, command=told.command, locked=told.status == 401
    )
    return HTMLResponse(page, status_code=told.status)


class Gate:
    """Asks who comes before a page is made, and dresses every answer.

    Args:
        guardian: the rules.
    """

    def __init__(self, guardian: Guardian) -> None:
        self.guardian = guardian

    async def __call__(self, request: Request, call_next: Next) -> Response:
        answer = await self._answer(request, call_next)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Content-Security-Policy", policy(False))
        return answer

    async def _answer(self, request: Request, call_next: Next) -> Response:
        own = self.guardian
        if not own.knows_host(request.headers.get("host", "")):
            return PlainTextResponse("This server does not answer to that name.", 421)
        if own.holds_key(request.query_params.get("key", "")) and request.method == "GET":
            return self._welcome(request)
        if not own.lets_in(request.cookies):
            return problem(
                Refused(
                    401, "Locked", "This dashboard opens with the address that its terminal shows.",
                    "Look there for the line that begins with http, or start it anew.",
                    "holdfast serve",
                )
            )  # fmt: skip
        return await call_next(request)

    def _welcome(self, request: Request) -> Response:
        """Trade the key for a cookie and take it out of the address."""
        rest = urlencode([(k, v) for k, v in request.query_params.multi_items() if k != "key"])
        answer = RedirectResponse(
            "/" + request.url.path.lstrip("/\\") + (f"?{rest}" if rest else ""), 303
        )
        answer.set_cookie(
            self.guardian.cookie, self.guardian.ticket, httponly=True, samesite="strict", path="/"
        )
        return answer

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form that a page of ours sent.

        Raises:
            Refused: if it is too large, of another kind, or was sent by another page.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise Refused(415, "Not a form", f"A form was expected, not {kind[:60] or 'nothing'}.")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY:
                raise Refused(413, "Too large", f"A form holds at most {BODY:,} bytes.")
        try:
            pairs = parse_qsl(
                body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS
            )
        except ValueError:
            raise Refused(413, "Too large", f"A form holds at most {FIELDS} fields.") from None
        fields = dict(pairs)
        headers, token = request.headers, fields.pop("token", "")
        if not self.guardian.trusts_form(headers.get("origin"), headers.get("host", ""), token):
            raise Refused(
                403, "Not from here", "This form was not sent by a page of this dashboard.",
                "Open the page again and send the form from there.",
            )  # fmt: skip
        return fields
