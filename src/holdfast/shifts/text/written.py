"""Edits that rules cannot make, written by a model that follows an instruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.kinds import Writer
from holdfast.shifts.text.edit import Edited

INSTRUCTIONS = {
    "derivation": "Replace one word by a word derived from it or related to it in form.",
    "compound": "Replace one adjective or noun by a compound that contains it.",
    "voice": "Turn one clause from the active into the passive voice.",
    "roles": "Exchange who acts and who is acted upon.",
    "concept": "Replace one word by a synonym or by a more general word.",
    "negation": "Negate the main statement.",
    "discourse": "Add or change one discourse marker.",
    "appraisal": "Add words of appraisal that do not change what is said.",
    "style": "Say it in a casual style.",
    "dialect": "Say it in another dialect of English.",
    "temporal": "Use old-fashioned terms.",
    "geographical": "Exchange names and places for those of another part of the world.",
    "longer": "Say the same at greater length.",
    "shorter": "Say the same more briefly.",
    "paraphrase": "Say the same in other words.",
}
_PROMPT = "{}\nChange nothing else. Answer with the changed text alone.\n\nText: {}"


def written(
    texts: Sequence[str],
    name: str,
    writer: Writer,
    dice: Dice,
    *,
    judge: Callable[[str, str], bool] | None = None,
) -> Edited:
    """Texts edited by a writer; what is empty, unchanged or refused by the judge counts as such.

    Args:
        texts: to be changed.
        name: of an instruction, or the instruction itself.
        writer: prompts -> texts.
        dice: one row per text.
        judge: (text, changed text) -> whether the edit does what it should and no more.

    Raises:
        ConfigError: for an empty instruction.
        ShapeError: if the writer gives another number of texts.

    Cost: one text per row.
    """
    asked = INSTRUCTIONS.get(name, name)
    if not asked.strip():
        raise ConfigError("written: an instruction is needed", fix=f"Known: {list(INSTRUCTIONS)}.")
    found = writer([_PROMPT.format(asked, t) for t in texts], 1, dice)
    if len(found) != len(texts):
        raise ShapeError(
            f"written: {len(found)} answers for {len(texts)} texts",
            fix="Give a writer that answers every prompt once.",
        )
    new = [answers[0].strip() for answers in found]
    kept = [bool(b) and a != b and (judge is None or judge(a, b))
            for a, b in zip(texts, new, strict=True)]  # fmt: skip
    out = [b if k else a for a, b, k in zip(texts, new, kept, strict=True)]
    return Edited(out, torch.tensor(kept, dtype=torch.bool))
