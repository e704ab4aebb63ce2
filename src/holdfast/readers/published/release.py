"""What all published benchmarks share: a folder of named parts, some of which are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.ops.batch import join
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.origin import marked, origin


class Asked(NamedTuple):
    """How much is read.

    Args:
        limit: at most so many rows, drawn before anything is decoded; the same ones in every part.
        seed: of the draw.
        max_bytes: nothing larger is unpacked.
        target: column of the label where there is a choice.
    """

    limit: int | None = None
    seed: int = 0
    max_bytes: int = MAX_BYTES
    target: str | None = None


Read = Callable[[Asked], Batches]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A published benchmark in the form in which it was released.

    Args:
        says: what it is, in a few words.
        layout: how the folder (or file) must look.
        link: where its files are published.
        parts: folder -> name of each part that lies there, and how it is read; names are in lower
            case with hyphens. Nothing but names of files is looked at.
        usual: folder -> the parts that are read where none is named, and must be there; none
            for all that are there.
        kinds: whether the parts are corruptions, `KIND` or `KIND/LEVEL`, of the same images.
        films: whether rows are films, whose frames a model is asked one by one.
        clean: the part without corruption, if there is one.
        prefix: what our own names of the corruptions have in front.
    """

    says: str
    layout: str
    link: str
    parts: Callable[[Path], Mapping[str, Read]]
    usual: Callable[[Path], Sequence[str]] = lambda _: ()
    kinds: bool = False
    films: bool = False
    clean: str = ""
    prefix: str = ""


@dataclass(frozen=True)
class Release:
    """Chosen parts of a benchmark in a folder.

    Args:
        suite: name of the family.
        root: the folder.
        family: which benchmark it is.
        parts: how each part is read, by name.
        clean: how the rows without corruption are read, if they lie there.
    """

    suite: str
    root: Path
    family: Family
    parts: Mapping[str, Read]
    clean: Read | None = None

    @property
    def name(self) -> str:
        """Of the family and the folder, without the path."""
        return f"{self.suite}:{self.root.resolve().name}"

    def read(self, asked: Asked) -> Batches:
        """All parts as one data set, whose groups are the parts; `limit` rows at most.

        Raises:
            ConfigError: if they need more than `max_bytes`.
        """
        if len(self.parts) == 1:
            return marked(next(iter(self.parts.values()))(asked), name=self.name)
        own = asked
        if asked.limit is not None:
            own = asked._replace(limit=-(-asked.limit // len(self.parts)))
        found, size = [], 0
        for read in self.parts.values():
            found.append(read(own))
            size += sum(t.nbytes for t in (found[-1].x, found[-1].y) if isinstance(t, torch.Tensor))
            if size > asked.max_bytes:
                raise too_large(self.name, asked.max_bytes)
        return _joined(self.name, tuple(self.parts), found)


def _joined(name: str, names: tuple[str, ...], found: list[Batches]) -> Batches:
    for part, own in zip(names, found, strict=True):
        if _form(own) != _form(found[0]):
            raise ShapeError(
                f"{part} has rows of another shape than {names[0]}",
                fix=f"Read {name}:{part} alone.",
            )
    totals = [origin(b).total for b in found]
    starts = [sum(totals[:k]) for k in range(len(totals))]
    group = [torch.full((len(b),), k, dtype=torch.int64) for k, b in enumerate(found)]
    index = [b.index + start for b, start in zip(found, starts, strict=True)]
    whole = replace(
        found[0], x=join([b.x for b in found]), y=torch.cat([b.y for b in found]),
        index=torch.cat(index), group=torch.cat(group), more={},
    )  # fmt: skip
    return marked(whole, name=name, total=sum(totals), groups=names)


def _form(rows: Batches) -> torch.Size | None:
    return rows.x.shape[1:] if isinstance(rows.x, torch.Tensor) else None


def named(text: str) -> str:
    """Our name of a released kind: `jpeg_compression` is `jpeg`."""
    plain = text.strip().lower().replace("_", "-")
    return plain.replace("jpeg-compression", "jpeg").replace("gamma-corr-", "gamma-")


def chosen(family: Family, name: str, root: Path, asked: str = "") -> Release:
    """The parts of a folder that were asked for, or the usual ones.

    Args:
        family: which benchmark it is.
        name: of the family.
        root: the folder.
        asked: names or beginnings of names with commas between, `fog,snow/3`; empty for the usual.

    Raises:
        ConfigError: for what does not lie there: it says what, where, and where it is published.
    """
    there = family.parts(root)
    wanted = [named(w) for w in asked.split(",")] if asked else list(family.usual(root))
    lost = [w for w in wanted if not any(_under(p, w) for p in there)]
    if not there or lost:
        raise missing(family, name, root, lost, there)
    kept = {p: r for p, r in there.items() if not wanted or any(_under(p, w) for w in wanted)}
    clean = there.get(family.clean) if family.clean else None
    return Release(name, root, family, kept, clean)


def _under(part: str, wanted: str) -> bool:
    return part == wanted or part.startswith(f"{wanted}/")


def missing(
    family: Family, name: str, root: Path, lost: Iterable[str], there: Iterable[str] = ()
) -> ConfigError:
    """The error for files that do not lie in a folder.

    Args:
        family: the data set as it is published.
        name: how the user called it.
        root: the folder that was given.
        lost: parts that were asked for and are not there.
        there: parts that are there, from which the fix names one.
    """
    what = ", ".join(lost) or "nothing that is known"
    kinds = list(dict.fromkeys(p.partition("/")[0] for p in there))
    has = f"; it has {', '.join(kinds[:20])}" if kinds else ""
    says = f"{root} has no {what}{has}" if root.exists() else f"there is no {root}"
    some = f" To read what is there: {name}:{root}:{kinds[0]}" if kinds else ""
    return ConfigError(
        f"{name}: {says}",
        fix=f"Unpack {family.link} so that it looks like {family.layout}.{some}",
        code="E0131",
    )


def too_large(name: str, max_bytes: int) -> ConfigError:
    """The error for rows that do not fit."""
    return ConfigError(
        f"{name} needs more than {max_bytes:,} bytes",
        fix="Draw a sample with --limit 1000, or raise --max-bytes.",
        code="E0135",
    )
