"""The doors: every place of every command where something from outside comes in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from good_inputs import ENCODER, Good

Arguments = Callable[[Path, Good, Path], list[object]]  # of the bad path, what is good, and a place for outputs

SMALL = [
    "--model.encoder", ENCODER, "--data.window", 32, "--data.batch-size", 2, "--data.workers", 0,
    "--data.val-windows", 2, "--steps", 1, "--trainer.precision", "32-true", "--trainer.accelerator", "cpu",
]  # fmt: skip

TINY = ["--steps", 1, "--seeds", 1, "--networks", "small", "--losses", "bce"]


@dataclass(frozen=True)
class Door:
    """One place of one command.

    Attributes:
        name: The command, and which of its places if it has several of a kind.
        arguments: What is said to the command.
        makes: What it must have made in the place for outputs when it has done its work.
        seconds: In which it ends, and to spare: a hang takes longer.
    """

    name: str
    arguments: Arguments
    makes: str = ""
    seconds: int = 60


def _training(good: Good, out: object, *more: object, images: object = None, labels: object = None) -> list[object]:
    """What every command that trains takes: what is good where nothing else is given."""
    given = ["--images", images or good.image, "--labels", labels or good.mask, "--out", out]
    validation = [images or good.image, labels if images else good.mask]  # one small image cannot be divided
    return [*given, "--val-images", validation[0], "--val-labels", validation[1], *SMALL, *more]


def _comparison(good: Good, out: object, **given: object) -> list[object]:
    return ["compare", *_training(good, out, **given), "--losses", "bce", "--seeds", 1]


def _search(good: Good, out: object, *more: object, **given: object) -> list[object]:
    return [
        "search-weight",
        *_training(good, out, *more, **given),
        "--from-epoch",
        0,
        "--every-epochs",
        1,
        "--weights",
        "[0.5]",
    ]


def _own_tile(bad: Path, out: Path, folder: str) -> Path:
    """A dataset of which one tile's image or label is the bad one."""
    root = out.with_name(f"{out.name}-dataset") / "AerialImageDataset"
    for name in ("images", "gt"):
        (root / "train" / name).mkdir(parents=True)
    (root / "train" / folder / "austin1.tif").symlink_to(bad.absolute())
    return root


def _dataset(bad: Path, good: Good, out: Path, folder: str) -> Path:
    root = _own_tile(bad, out, folder)
    other, path = ("gt", good.mask) if folder == "images" else ("images", good.image)
    (root / "train" / other / "austin1.tif").symlink_to(path)
    return root


def _suggest(images: object, labels: object, *more: object) -> list[object]:
    return ["suggest-theta", "--images", images, "--labels", labels, *more]


def _stopped(bad: Path, good: Good, out: Path) -> list[object]:
    """Writes the settings of the run that the bad checkpoint is said to be of."""
    import yaml

    from crispmap.cli.fit import build_parser, fit_settings

    argv = [str(each) for each in _training(good, bad)]
    given = build_parser().parse_args(argv).as_dict()
    for name in ("config", "overwrite"):
        given.pop(name, None)
    (bad / "config.yaml").write_text(yaml.safe_dump(fit_settings(given).plain()))
    return ["fit", *argv]


DOORS: dict[str, list[Door]] = {
    "image": [
        Door("fit", lambda b, g, o: ["fit", *_training(g, o, images=b, labels=g.vectors)], "model.pt"),
        Door("predict", lambda b, g, o: ["predict", g.run, b, "-o", o, "--patch", 64], "*_mask.tif"),
        Door("suggest-theta", lambda b, g, o: _suggest(b, g.vectors)),
        Door("compare", lambda b, g, o: _comparison(g, o, images=b, labels=g.vectors), "report.html"),
        Door("search-weight", lambda b, g, o: _search(g, o, images=b, labels=g.vectors), "model.pt"),
        Door("check-data", lambda b, g, o: ["check-data", "inria", _dataset(b, g, o, "images")]),
    ],
    "mask": [
        Door("fit", lambda b, g, o: ["fit", *_training(g, o, labels=b)], "model.pt"),
        Door("vectorize", lambda b, g, o: ["vectorize", b, "-o", o / "f.gpkg"], "f.gpkg"),
        Door("evaluate-pred", lambda b, g, o: ["evaluate", b, g.mask, "--json", o / "s.json"], "s.json"),
        Door("evaluate-truth", lambda b, g, o: ["evaluate", g.mask, b, "--html", o / "s.html"], "s.html"),
        Door("suggest-theta", lambda b, g, o: _suggest(g.image, b)),
        Door("compare", lambda b, g, o: _comparison(g, o, labels=b), "report.html"),
        Door("search-weight", lambda b, g, o: _search(g, o, labels=b), "model.pt"),
        Door("check-data", lambda b, g, o: ["check-data", "inria", _dataset(b, g, o, "gt"), "--no-sheet"]),
    ],
    "vectors": [
        Door("fit", lambda b, g, o: ["fit", *_training(g, o, labels=b)], "model.pt"),
        Door("fit-area", lambda b, g, o: ["fit", *_training(g, o, "--area", b)], "model.pt"),
        Door("evaluate-pred", lambda b, g, o: ["evaluate", b, g.vectors, "--csv", o / "s.csv"], "s.csv"),
        Door("evaluate-truth", lambda b, g, o: ["evaluate", g.mask, b, "--json", o / "s.json"], "s.json"),
        Door("evaluate-area", lambda b, g, o: ["evaluate", g.mask, g.mask, "--area", b]),
        Door("suggest-theta", lambda b, g, o: _suggest(g.image, b)),
        Door("suggest-theta-reference", lambda b, g, o: _suggest(g.image, g.vectors, "--reference", b)),
        Door("suggest-theta-area", lambda b, g, o: _suggest(g.image, g.vectors, "--area", b)),
        Door("compare", lambda b, g, o: _comparison(g, o, labels=b), "report.html"),
        Door("search-weight", lambda b, g, o: _search(g, o, labels=b), "model.pt"),
    ],
    "model": [
        Door("predict", lambda b, g, o: ["predict", b, g.image, "-o", o, "--patch", 64], "*_mask.tif"),
        Door("export", lambda b, g, o: ["export", b, "-o", o / "m.stac.json"], "m.stac.json"),
        Door("fit-init", lambda b, g, o: ["fit", *_training(g, o, "--init", b)], "model.pt"),
        Door("search-weight", lambda b, g, o: _search(g, o, "--init", b), "model.pt"),
    ],
    "stopped": [Door("fit-resumed", _stopped)],
    "config": [
        Door("fit", lambda b, g, o: ["fit", *_training(g, o, "--config", b)], "model.pt"),
        Door("search-weight", lambda b, g, o: _search(g, o, "--config", b)),
        Door("compare", lambda b, g, o: [*_comparison(g, o), "--config", b]),
    ],
    "recipe": [
        Door("reproduce", lambda b, g, o: ["reproduce", "inria", "--data", g.run, "--out", o, "--config", b]),
    ],
    "losses": [
        Door("compare", lambda b, g, o: ["compare", *_training(g, o), "--seeds", 1, "--losses", b]),
        Door("reproduce", lambda b, g, o: ["reproduce", "inria", "--data", g.run, "--out", o, "--losses", b]),
    ],
    "list": [Door("predict", lambda b, g, o: ["predict", g.run, b, "-o", o], "*_mask.tif")],
    "dataset": [
        Door("check-data", lambda b, g, o: ["check-data", "inria", b, "--sheet", o / "s.png"]),
        Door("fit", lambda b, g, o: ["fit", "--dataset", "inria", "--images", b, "--out", o, *SMALL], "model.pt"),
        Door("reproduce", lambda b, g, o: ["reproduce", "inria", "--data", b, "--out", o, *TINY]),
    ],
    "out": [
        Door("fit", lambda b, g, o: ["fit", *_training(g, b)]),
        Door("predict", lambda b, g, o: ["predict", g.run, g.image, "--patch", 64, f"--out={b}"]),
        Door("vectorize", lambda b, g, o: ["vectorize", g.mask, f"--out={b}.gpkg"]),
        Door("evaluate-json", lambda b, g, o: ["evaluate", g.mask, g.mask, f"--json={b}"]),
        Door("evaluate-html", lambda b, g, o: ["evaluate", g.mask, g.mask, f"--html={b}"]),
        Door("export", lambda b, g, o: ["export", g.run, f"--out={b}.stac.json"]),
        Door("synthesize", lambda b, g, o: ["synthesize", "--scenes", 1, "--size", 64, "--workers", 1, "--", b]),
        Door("compare", lambda b, g, o: _comparison(g, b)),
        Door("search-weight", lambda b, g, o: _search(g, b)),
        Door("demo", lambda b, g, o: ["demo", "--quick", f"--out={b}"], seconds=300),
    ],
}  # fmt: skip
