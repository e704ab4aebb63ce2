"""What `run.json` tells beside the results: when, where, with what, and how the claims stand."""

from __future__ import annotations

import platform
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit
    from holdfast.core.records import Report


def now() -> str:
    """This moment in UTC, for `run.json` and the ledger only."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def standings() -> dict[str, str]:
    """What the committed ledger of claims says about each method; no claim is imported for it."""
    from holdfast.claims.harness import ledger

    rows = ledger().values()
    return {method: str(row["standing"]) for row in rows for method in row.get("methods", ())}


def facts(audit: Audit, report: Report, started: str, seconds: float) -> dict[str, Any]:
    """What `run.json` holds: everything that differs between two equal audits."""
    import torch

    from holdfast import __version__
    from holdfast.cli.streamed import kept

    return {
        "started": started,
        "finished": now(),
        "seconds": seconds,
        "checks": {o.check: o.seconds for o in report.outcomes},
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "holdfast": __version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "argv": sys.argv,
        "folder": str(Path.cwd()),
        "options": audit.options,
    } | kept(audit)
