"""The error tree; every user-facing error names the place, the rule, the value and the fix.

HoldfastError
|- ConfigError      E01xx  a setting, option or file is wrong
|- ShapeError       E02xx  a tensor does not have the shape, type or range that was asked for
|- Unsupported      E03xx  the method cannot do what was asked of it
|- UntrustedFile    E04xx  a file would have to run code, or is not what it claims to be
|- Contradiction    E05xx  an attack broke what a certificate had proved
|- MissingExtra     E06xx  an optional dependency is not installed
`- Interrupted      E07xx  stopped on request; the same command continues
"""

from __future__ import annotations


class HoldfastError(Exception):
    """What went wrong, where, and one action that fixes it.

    Args:
        says: the sentence shown to the user: the place, the rule and the value found.
        fix: one action that repairs it, if possible a command.
        code: stable identifier such as `E0117`.
    """

    family = "E00"

    def __init__(self, says: str, *, fix: str = "", code: str = "") -> None:
        super().__init__(says)
        self.says, self.fix, self.code = says, fix, code or f"{self.family}00"

    def __str__(self) -> str:
        return f"{self.code}  {self.says}" + (f"\n       {self.fix}" if self.fix else "")


class ConfigError(HoldfastError, ValueError):
    """A setting, option or configuration file is wrong."""

    family = "E01"


class ShapeError(HoldfastError, ValueError):
    """A tensor does not have the shape, type or range that was asked for."""

    family = "E02"


class Unsupported(HoldfastError):
    """The method cannot do what was asked; it never hands back its input instead."""

    family = "E03"


class UntrustedFile(HoldfastError):
    """Reading the file would run code, or the file is not what it claims to be."""

    family = "E04"


class Contradiction(HoldfastError):
    """An attack succeeded where a certificate had excluded success; both witnesses attached.

    Args:
        witnesses: what the attack found and what the certificate claimed, by name.
    """

    family = "E05"

    def __init__(self, says: str, *, witnesses: dict[str, object], fix: str = "") -> None:
        super().__init__(says, fix=fix)
        self.witnesses = witnesses


class MissingExtra(HoldfastError, ImportError):
    """An optional dependency is needed and not installed."""

    family = "E06"


class Interrupted(HoldfastError):
    """Stopped on request; everything finished is kept and the same command continues."""

    family = "E07"
