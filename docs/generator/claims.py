"""What was claimed, and whether it held: from the ledger and from the claims themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from docs.generator.text import escaped, table

from holdfast.claims import harness


@dataclass(frozen=True)
class Standing:
    """One claim as the ledger has it.

    Args:
        key: of the paper or method.
        word: holds, does not hold, out of reach, or not tried.
        says: the inequality in words.
        left: the quantity that is spoken of.
        right: what it is compared with.
        trials: both, for every seed.
        bugs: how many planted bugs made it fail, in words.
        why: the reason where it does not hold.
    """

    key: str
    word: str
    says: str
    left: str
    right: str
    trials: tuple[tuple[float, float], ...]
    bugs: str
    why: str

    @property
    def numbers(self) -> str:
        """Both quantities, seed by seed."""
        return "; ".join(f"{a:.4g} against {b:.4g}" for a, b in self.trials) or "no numbers"


@cache
def every() -> tuple[tuple[Standing, tuple[str, ...]], ...]:
    """Every claim with the methods it speaks of."""
    rows, found = harness.ledger(), []
    for key, claim in sorted(harness.claims().items()):
        row = rows.get(key, {})
        caught, missed = len(row.get("caught", ())), len(row.get("missed", ()))
        bugs = f"{caught} of {caught + missed} planted bugs made it fail, as they must."
        found.append((
            Standing(key, row.get("standing", "not tried"), claim.says, claim.left, claim.right,
                     tuple((a, b) for a, b in row.get("trials", ())), bugs,
                     claim.why if row.get("standing") != "holds" else ""),
            claim.methods,
        ))  # fmt: skip
    return tuple(found)


def standings() -> dict[str, list[Standing]]:
    """The claims by the catalogue keys of what they try."""
    found: dict[str, list[Standing]] = defaultdict(list)
    for one, methods in every():
        for key in methods:
            found[key].append(one)
    return found


def page() -> str:
    """The table of all claims."""
    known = every()
    words = [one.word for one, _ in known]
    said = {"holds": "hold", "does not hold": "do not hold"}
    order = ("holds", "does not hold", "out of reach", "not tried")
    counts = ", ".join(f"{words.count(w)} {said.get(w, w)}" for w in order if w in words)
    rows = [
        [one.word, f"`{one.key}` {escaped(one.says)}",
         "<br>".join(f"{a:.4g} / {b:.4g}" for a, b in one.trials) or "·"]
        for one, _ in known
    ]  # fmt: skip
    return "\n".join([
        "# Claims", "",
        "A claim is what a paper says, as a small experiment that can fail: two quantities, an "
        "inequality between them, several seeds. Under bugs planted on purpose it must fail. One "
        f"that does not hold at this scale stays and says so. Of {len(known)} claims: {counts}.",
        "", "Try one yourself: `holdfast claim KEY`. The page of a method says what left and right "
        "are, and which bugs were planted.", "",
        *table(["standing", "claim", "left / right, by seed"], rows),
    ])  # fmt: skip
