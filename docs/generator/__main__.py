"""`python -m docs.generator`: write the generated pages, then build the site.

Everything is written under `build/docs`; nothing generated is ever committed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from docs.generator import elsewhere

ROOT = Path(__file__).parents[2]
SITE, BUILD = ROOT / "docs/site", ROOT / "build/docs"
EXECUTED = ("quickstart.md", "ci.md")
REFERENCE = (
    "models", "data", "gates", "plugins", "scale", "certify", "verify", "proofs", "monitor",
    "benchmarks", "laws",
)  # fmt: skip
_OUTWARD = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")  # links to files that the site does not hold


def _say(text: str, begun: float) -> None:
    sys.stderr.write(f"{time.monotonic() - begun:6.1f} s  {text}\n")


def write(source: Path) -> None:
    """All pages, written and generated, into one folder."""
    from docs.generator import audits, claims, codes, guides, index_for_agents, methods, schemas

    begun = time.monotonic()
    shutil.copytree(SITE, source)
    for name in REFERENCE:
        if (ROOT / f"docs/{name}.md").is_file():
            (source / "reference").mkdir(exist_ok=True)
            text = _OUTWARD.sub(r"`\1`", (ROOT / f"docs/{name}.md").read_text("utf-8"))
            (source / f"reference/{name}.md").write_text(text, "utf-8")
    shutil.copytree(ROOT / "docs/pictures", source / "pictures", dirs_exist_ok=True)
    made, real = methods.pages()
    _say(f"{len(made)} pages of methods, {real} examples do more than build theirs", begun)
    made |= codes.every() | {"claims.md": claims.page()}
    with tempfile.TemporaryDirectory() as folder:
        made["gallery.md"], documents = audits.gallery(Path(folder), source / "_static/reports")
    _say(f"{len(documents)} audits for the gallery", begun)
    for name in EXECUTED:
        with tempfile.TemporaryDirectory() as folder:
            made[name] = guides.executed((SITE / name).read_text("utf-8"), Path(folder))
    _say("the commands of the guides have run", begun)
    found = {"config": schemas.config(), "results": schemas.results(documents)}
    for name, schema in found.items():
        place = source / "extra/schemas" / f"{name}.schema.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(schema, indent=1) + "\n", "utf-8")
    (source / "extra/llms.txt").write_text(index_for_agents.text(), "utf-8")
    for path, text in made.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, "utf-8")


def main() -> int:
    """Write the pages and run Sphinx; a warning is an error."""
    words = argparse.ArgumentParser(prog="docs.generator")
    words.add_argument("--pages-only", action="store_true", help="Do not run Sphinx.")
    words.add_argument("--site-only", action="store_true", help="Keep the pages that are there.")
    asked = words.parse_args()
    source, begun = BUILD / "source", time.monotonic()
    if not asked.site_only:
        shutil.rmtree(source, ignore_errors=True)
        BUILD.mkdir(parents=True, exist_ok=True)
        write(source)
    if asked.pages_only:
        return 0
    shutil.rmtree(BUILD / "html", ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
               "-d", str(BUILD / "doctrees"), str(source), str(BUILD / "html")]  # fmt: skip
    code = subprocess.run(command, check=False).returncode
    if away := elsewhere.requests(BUILD / "html"):
        _say("pages ask for files from elsewhere: " + ", ".join(away[:5]), begun)
        return 1
    _say(f"the site is at {BUILD / 'html' / 'index.html'}" if not code else "it failed", begun)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
