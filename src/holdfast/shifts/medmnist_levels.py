"""Levels of the corruptions of MedMNIST-C, one list per data set, as published at 224 pixels."""

from __future__ import annotations

from collections.abc import Mapping

Rows = tuple[tuple[float, ...], ...]
_ZOOM = "12:.01 16:.01 11:.02 13:.02 11:.03"  # number of zooms, step
_TABLE: Mapping[str, str] = {
    "path": """
        pixelate .8 .6 .4 .3 .25 | jpeg 50 30 15 10 7
        defocus-blur 3:.1 4:.1 5:.2 6:.2 7:.3 | motion-blur 5:5 10:5 15:5 15:8 15:12
        brightness-up 1.1 1.15 1.2 1.22 1.25 | brightness-down .85 .8 .75 .72 .7
        contrast-up 1.1 1.2 1.3 1.4 1.6 | contrast-down .8 .7 .6 .55 .5
        saturate .05 .1 .15 .2 .25 | stain-deposit 1:3 2:3 3:3 4:4 5:5
        bubble 7:15 10:15 12:15 15:20 17:25""",
    "blood": """
        pixelate .6 .5 .4 .3 .25 | jpeg 50 30 15 10 7
        defocus-blur 2:.01 3:.1 4:.1 5:.1 6:.1 | motion-blur 3:3 5:5 10:5 10:7 10:9
        brightness-up 1.1 1.2 1.3 1.35 1.4 | brightness-down .9 .8 .7 .6 .5
        contrast-up 1.1 1.15 1.2 1.25 1.3 | contrast-down .9 .8 .7 .6 .5
        saturate .05 .1 .15 .17 .2 | stain-deposit 1:3 2:3 3:3 3:4 3:5
        bubble 5:10 7:10 10:10 12:12 15:12""",
    "derma": f"""
        pixelate .7 .5 .4 .3 .25 | jpeg 30 20 15 10 7
        gaussian-noise .04 .08 .12 .18 .26 | speckle-noise .05 .15 .2 .35 .45
        impulse-noise .01 .03 .06 .09 .17 | shot-noise /60 /25 /18 /10 /5
        defocus-blur 4:.1 5:.2 6:.3 7:.4 8:.5 | motion-blur 10:5 15:5 15:8 15:12 20:15
        zoom-blur {_ZOOM}
        brightness-up 1.1 1.2 1.3 1.4 1.5 | brightness-down .9 .8 .7 .6 .5
        contrast-up 1.1 1.2 1.3 1.4 1.6 | contrast-down .8 .7 .6 .5 .4
        black-corner 1.10 1.05 1.00 .90 .95
        characters 1:6:.14 2:7:.15 3:8:.16 4:9:.17 6:10:.18""",
    "retina": """
        pixelate .8 .6 .5 .4 .35 | jpeg 30 25 20 10 5
        gaussian-noise .04 .08 .12 .16 .2 | speckle-noise .1 .15 .2 .25 .3
        defocus-blur 4:.1 5:.2 6:.3 7:.4 8:.5 | motion-blur 8:5 15:5 15:8 15:12 20:15
        brightness-down .9 .8 .7 .6 .5 | contrast-down .9 .8 .7 .6 .4""",
    "tissue": """
        pixelate .4 .3 .2 .15 .1 | jpeg 25 20 15 10 7 | impulse-noise .01 .015 .02 .025 .03
        gaussian-blur 6 7 8 10 12
        brightness-up 1.3 1.4 1.5 1.6 1.7 | brightness-down .8 .7 .6 .5 .4
        contrast-up 1.1 1.2 1.3 1.4 1.6 | contrast-down .9 .8 .7 .6 .4""",
    "oct": """
        pixelate .3 .25 .2 .15 .1 | jpeg 30 15 10 7 5 | speckle-noise .15 .3 .4 .5 .6
        defocus-blur .5:.6 1:.5 1.5:.1 2:.5 2.5:.1 | motion-blur 10:3 15:5 15:8 15:12 20:15
        contrast-down .6 .4 .3 .2 .15""",
    "breast": """
        pixelate .3 .25 .2 .15 .1 | jpeg 50 30 15 10 7 | speckle-noise .1 .15 .2 .25 .3
        motion-blur 5:5 9:7 9:10 13:10 17:12
        brightness-up 1.4 1.5 1.6 1.8 2.0 | brightness-down .55 .5 .45 .4 .3
        contrast-down .9 .8 .7 .6 .4""",
    "chest": """
        pixelate .3 .25 .2 .15 .1 | jpeg 50 30 15 10 7
        gaussian-noise .04 .08 .12 .18 .26 | speckle-noise .05 .15 .2 .35 .45
        impulse-noise .01 .03 .06 .09 .17 | shot-noise /60 /25 /18 /10 /5
        gaussian-blur 1 2 3 4 5
        brightness-up 1.1 1.2 1.3 1.4 1.5 | brightness-down .9 .8 .7 .6 .5
        contrast-up 1.1 1.2 1.3 1.4 1.6 | contrast-down .9 .8 .7 .6 .4
        gamma-up 1.1 1.2 1.3 1.4 1.6 | gamma-down .9 .8 .7 .6 .4""",
    "pneumonia": """
        pixelate .8 .7 .6 .5 .4 | jpeg 50 30 15 10 7
        gaussian-noise .04 .05 .06 .07 .08 | speckle-noise .05 .07 .1 .15 .2
        impulse-noise .005 .01 .013 .017 .02 | shot-noise /300 /200 /150 /100 /80
        gaussian-blur 1 2 3 4 5
        brightness-up 1.1 1.2 1.3 1.4 1.5 | brightness-down .9 .8 .7 .6 .5
        contrast-up 1.1 1.2 1.3 1.4 1.6 | contrast-down .9 .8 .7 .6 .4
        gamma-up 1.1 1.2 1.3 1.4 1.6 | gamma-down .9 .8 .7 .6 .4""",
    "organa": """
        pixelate .7 .6 .5 .4 .35 | jpeg 50 30 15 10 7
        gaussian-noise .04 .08 .12 .16 .2 | speckle-noise .05 .1 .2 .3 .4
        impulse-noise .01 .02 .03 .05 .08 | shot-noise /200 /100 /50 /25 /15
        gaussian-blur 5 6 7 8 10
        brightness-up 1.2 1.3 1.4 1.5 1.6 | brightness-down .8 .75 .7 .65 .6
        contrast-up 1.3 1.4 1.6 1.7 1.8 | contrast-down .8 .7 .6 .55 .5
        gamma-up 1.3 1.4 1.6 1.8 2.0 | gamma-down .9 .8 .7 .6 .4""",
}
SAME = {"organc": "organa", "organs": "organa"}


def _number(word: str) -> float:
    """A number; `/60` is one sixtieth (shot noise is published as counts)."""
    return 1 / float(word[1:]) if word.startswith("/") else float(word)


def _read(text: str) -> dict[str, Rows]:
    found = {}
    for line in text.strip().replace("|", "\n").splitlines():
        name, *levels = line.split()
        found[name] = tuple(tuple(_number(v) for v in level.split(":")) for level in levels)
    return found


_EVERY = {dataset: _read(text) for dataset, text in _TABLE.items()}
_EVERY |= {name: _EVERY[like] for name, like in SAME.items()}
DATASETS: dict[str, tuple[str, ...]] = {name: tuple(rows) for name, rows in _EVERY.items()}
LEVELS: dict[tuple[str, str], Rows] = {
    (name, kind): rows for name, kinds in _EVERY.items() for kind, rows in kinds.items()
}
# 1 - balanced accuracy of the published AlexNet on unchanged images.
ALEXNET_CLEAN: dict[str, float] = {
    "blood": 0.0184, "breast": 0.1454, "chest": 0.2839, "derma": 0.3986, "oct": 0.2020,
    "organa": 0.0501, "organc": 0.0760, "organs": 0.2430, "path": 0.0884, "pneumonia": 0.1009,
    "retina": 0.5582, "tissue": 0.3918,
}  # fmt: skip
