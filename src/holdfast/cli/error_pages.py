"""The catalogue of errors: what each code means, what repairs it, and a command that works."""

from __future__ import annotations

import textwrap
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from holdfast.core.errors import ConfigError

FAMILIES = {
    "E00": "holdfast itself failed",
    "E01": "a setting, option or file is wrong",
    "E02": "a tensor does not have the shape, type or range that was asked for",
    "E03": "the method cannot do what was asked of it",
    "E04": "a file would have to run code, or is not what it claims to be",
    "E05": "an attack broke what a certificate had proved",
    "E06": "an optional dependency is not installed",
    "E07": "stopped on request",
}
_WIDTH = 92


@dataclass(frozen=True)
class Page:
    """What there is to say about one code.

    Args:
        code: as `E0117`.
        title: what is wrong, in a few words.
        cause: why it happens.
        fix: what to do about it.
        case: a command that provokes it, empty where none does on purpose.
        example: the command that succeeds afterwards.
    """

    code: str
    title: str
    cause: str
    fix: str
    case: str
    example: str

    @property
    def family(self) -> str:
        """What its first two figures say."""
        return FAMILIES[self.code[:3]]

    @property
    def lines(self) -> list[str]:
        """The page for a terminal."""
        told = [f"{self.code}  {self.title}", f"       {self.family}", ""]
        for heading, text in (("Why", self.cause), ("Fix", self.fix)):
            told += textwrap.wrap(text, _WIDTH, initial_indent=f"  {heading}  ",
                                  subsequent_indent=" " * (len(heading) + 4))  # fmt: skip
        told += ["", "  Fails", f"    {self.case}"] if self.case else []
        return [*told, "", "  Works", f"    {self.example}"]


@cache
def pages() -> dict[str, Page]:
    """Every page by its code."""
    text = files("holdfast.cli").joinpath("errors.toml").read_text("utf-8")
    return {code: Page(code, **row) for code, row in tomllib.loads(text).items()}


def page(code: str) -> Page:
    """The page of one code.

    Raises:
        ConfigError: if there is none.
    """
    known = pages()
    if code not in known:
        near = [other for other in known if other[:3] == code[:3]]
        says = f"There are {', '.join(near)}." if near else f"There are {len(known)}, from E0001."
        raise ConfigError(f"show: there is no error {code}", fix=says)
    return known[code]
