"""NoiseBench: sentences with clean and with really noisy tags, one token per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from holdfast.core.data import UNLABELLED, Batches
from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.origin import Origin
from holdfast.readers.packed import unpacked

LINK = "https://github.com/elenamer/NoiseBench"
LAYOUT = "FOLDER/clean.train and FOLDER/noise_expert.train (lines: TOKEN and TAG)"
NOISES = ("expert", "crowd", "crowdbest", "distant", "weak", "llm")
TYPES = ("PER", "ORG", "LOC", "MISC")
CLASSES = ("O", *(f"{p}-{t}" for t in TYPES for p in "BI"))  # as `ops.entities` numbers them
START = "-DOCSTART-"

Sentence = list[tuple[str, str]]


def read_columns(path: Path, max_bytes: int = MAX_BYTES) -> list[Sentence]:
    """Sentences of a column file: the first column is the token, the last one its tag.

    Raises:
        ConfigError: if there is no such file.
        UntrustedFile: if a line is no token with a tag.
    """
    if not path.is_file():
        raise ConfigError(
            f"noisebench: there is no {path}",
            fix=f"Make it with the program at {LINK}, so that it looks like {LAYOUT}.",
            code="E0131",
        )
    text = unpacked(path, max_bytes).decode("utf-8", "replace")
    return [s for s in _sentences(text, path.name) if START not in s[0][0]]


def _sentences(text: str, name: str) -> Iterator[Sentence]:
    sentence: Sentence = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.strip().split("\t") if "\t" in line.strip() else line.split()
        if words and words != [""]:
            if len(words) < 2 or words[-1] not in CLASSES:
                raise UntrustedFile(
                    f"{name}, line {number}: {line.strip()[:40]!r} is no token and tag",
                    fix=f"Tags are {', '.join(CLASSES)}.", code="E0414",
                )  # fmt: skip
            sentence.append((words[0], words[-1]))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def read_noisebench(
    folder: str | Path,
    noise: str = "expert",
    *,
    split: str = "train",
    limit: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Batches:
    """Sentences with their clean tags and those of one noisy labelling.

    Args:
        folder: of the files that the released program writes.
        noise: one of `NOISES`; only the clean tags exist for the split `test`.
        split: `train`, `dev` or `test`.
        limit: at most so many sentences, the first ones.
        max_bytes: largest size of a file.

    Returns:
        `x`: sentences, tokens with spaces between; `y`: `(rows, tokens)` clean tags, numbered as
        `CLASSES` and -100 behind the end; `more["noisy"]`: the same for the noisy tags.

    Raises:
        ConfigError: if a file is missing, or there is no such noise.
        UntrustedFile: if the files do not hold the same sentences.
    """
    if noise not in NOISES:
        raise ConfigError(f"noisebench: no {noise!r}", fix=f"Choose of {', '.join(NOISES)}.")
    root = Path(folder)
    clean = read_columns(root / f"clean.{split}", max_bytes)
    other = clean if split == "test" else read_columns(root / f"noise_{noise}.{split}", max_bytes)
    if [[t for t, _ in s] for s in clean] != [[t for t, _ in s] for s in other]:
        raise UntrustedFile(
            f"clean.{split} and noise_{noise}.{split} hold different sentences",
            fix=f"Make both again with the program at {LINK}.", code="E0414",
        )  # fmt: skip
    total = len(clean)
    clean, other = clean[:limit], other[:limit]
    return Batches(
        x=[" ".join(t for t, _ in s) for s in clean],
        y=_tags(clean),
        more={"noisy": _tags(other)},
        classes=CLASSES,
        truth=Origin(name=f"noisebench:{noise}", form="text", total=total),
    )


def _tags(sentences: list[Sentence]) -> Tensor:
    longest = max(map(len, sentences), default=0)
    found = torch.full((len(sentences), longest), UNLABELLED)
    for row, sentence in enumerate(sentences):
        found[row, : len(sentence)] = torch.tensor([CLASSES.index(tag) for _, tag in sentence])
    return found
