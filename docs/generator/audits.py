"""The gallery: small audits are run as the site is made, and their reports are what is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from docs.generator.first_screens import card, taken
from docs.generator.guides import told
from docs.generator.text import escaped

MODELS = """\
import torch
from torch import nn


def linear():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def table():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 2))
"""
FIT = """\
import torch
from holdfast.readers import read_data
from models import linear, table

for name, make in (("digits", linear), ("breast-cancer", table)):
    rows, model = read_data(name), make()
    x = rows.x if name == "digits" else (rows.x - rows.x.mean(0)) / rows.x.std(0)
    tuned = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(150):
        tuned.zero_grad()
        torch.nn.functional.cross_entropy(model(x), rows.y).backward()
        tuned.step()
    if name == "breast-cancer":
        scale = 1 / rows.x.std(0)
        model[0].bias.data -= model[0].weight.data @ (rows.x.mean(0) * scale)
        model[0].weight.data *= scale
    torch.save(model.state_dict(), f"{name}.pt")
"""
# name, title, what it shows, command
SHOWN = (
    ("demo", "A small network that passes", "What `holdfast demo` makes: every gate passes, and "
     "each number stands beside its bound.", "holdfast demo"),
    ("linear", "A linear classifier whose confidence misleads",
     "Accurate on digits as they are, but its confidence is not its accuracy. The envelope shows "
     "how quickly it falls as the adversary may do more.",
     "holdfast audit digits.pt --arch models.py:linear --data digits --profile quick "
     "--threat linf:0.1"),
    ("untrained", "A network that has learned nothing",
     "The preflight says so before anything is attacked.",
     "holdfast audit models.py:linear --data digits --profile quick"),
    ("table", "A table of measurements",
     "Rows of numbers instead of pictures: what cannot apply stands under Not tested.",
     "holdfast audit breast-cancer.pt --arch models.py:table --data breast-cancer "
     "--profile quick --threat linf:0.02"),
)  # fmt: skip


def gallery(folder: Path, out: Path) -> tuple[str, list[dict[str, Any]]]:
    """Run the audits in a folder, copy their reports to `out`, and return the page."""
    (folder / "models.py").write_text(MODELS)
    (folder / "fit.py").write_text(FIT)
    told("python fit.py", folder)
    out.mkdir(parents=True, exist_ok=True)
    lines = ["# Gallery of reports", "",
             "Each report below is one file that opens offline. They were made as this page was "
             "made, in seconds, on one core.", ""]  # fmt: skip
    documents: list[dict[str, Any]] = []
    for name, title, says, command in SHOWN:
        told(command, folder)
        run = max((folder / ".holdfast/runs").iterdir(), key=lambda p: p.stat().st_mtime)
        document = json.loads((run / "results.json").read_text("utf-8"))
        documents.append(document)
        shutil.copy(run / "report.html", out / f"{name}.html")
        verdict = document["verdict"]
        link = f"_static/reports/{name}.html"
        seen = taken(out / f"{name}.html", out / f"{name}.png")
        picture = f"_static/reports/{name}.png" if seen else ""
        lines += [
            f"## {title}", "", says, "",
            f"**{escaped(verdict['word'])}** {escaped(str(verdict.get('says', '')))}", "",
            card(link, picture, str(verdict["word"]), title), "",
            "```console", f"$ {command}", "```", "",
            f'<p><a class="report" href="{link}">Open the report</a></p>', "",
        ]  # fmt: skip
    return "\n".join(lines), documents
