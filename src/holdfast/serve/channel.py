"""What a running audit tells the pages that follow it, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from holdfast.serve.live import pulse
from holdfast.serve.shelf import Shelf

LISTENERS = 12
PATIENCE = 600.0  # seconds; then a page asks anew by itself
BEAT, KEPT = 1.0, 15.0  # seconds between looks, and between words where nothing changes


class Channel:
    """Tells whenever something changes; bounded in listeners and in time.

    Args:
        shelf: where audits leave their signs of life.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.listeners = shelf, 0

    @property
    def full(self) -> bool:
        """Whether nobody else can listen."""
        return self.listeners >= LISTENERS

    async def told(self, run: str, request: Request) -> AsyncIterator[str]:
        """The events of one listener, until the audit is over or the page is closed."""
        self.listeners += 1
        begun = spoken = time.monotonic()
        before = ""
        try:
            while time.monotonic() - begun < PATIENCE and not await request.is_disconnected():
                now = await run_in_threadpool(pulse, self.shelf, run)
                words = json.dumps(now.plain)
                if words != before:
                    yield f"data: {words}\n\n"
                    before, spoken = words, time.monotonic()
                elif time.monotonic() - spoken > KEPT:
                    yield ": still here\n\n"
                    spoken = time.monotonic()
                if now.state in ("over", "quiet"):
                    return
                await asyncio.sleep(BEAT)
        finally:
            self.listeners -= 1
