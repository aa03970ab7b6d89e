"""What a loss is worth: one network, one budget, several losses, seeds paired, intervals by bootstrap.

    CRISPMAP_DATA=data .venv/bin/python benchmarks/loss_comparison.py train jonkoping --losses bce bce_iou --seeds 0 1
    .venv/bin/python benchmarks/loss_comparison.py summarise jonkoping

``train`` leaves one file of counts for each loss and seed in runs/loss-comparison and does not repeat what is there;
``summarise`` makes docs/results/loss-comparison-NAME.json and .md of them. Losses of a seed start from the same
weights and see the same windows in the same order. The last weights are examined, so that nothing is chosen on the
tiles that are reported.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import candidates
import numpy as np
import torch
from machine import circumstances
from numpy.typing import NDArray
from scipy import ndimage

from crispmap.data.folder import find_scenes
from crispmap.data.scene import Scene
from crispmap.data.synthetic import write_scenes
from crispmap.fit import fit
from crispmap.functional.boundary_score import boundary_counts
from crispmap.functional.outline_score import perimeter_counts
from crispmap.models import SegmentationModel, load_model
from crispmap.settings import DataSettings, FitSettings, ModelSettings

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CRISPMAP_DATA", ROOT.parent / "shared" / "data"))
WORK = ROOT / "runs" / "loss-comparison"
RESULTS = ROOT / "docs" / "results"
TOLERANCES = (1.0, 2.0, 3.0)
SMALLEST_OBJECT = 20  # pixels; what is smaller is a corner of something, or a speck

OURS = "balanced"
MAIN = ("bce", "bce_iou", "bce_dice", "paper", "paper_early", "balanced")  # in the order of the table
DESCRIPTIONS = {
    "jonkoping": {
        "title": "Jönköping",
        "text": "Orthophotos of Barnarp, Sweden: 100 tiles to learn from, 20 to be examined on with a gap of one "
        "column between them, at 0.4 m; settings were chosen on these 20 tiles too, so they are validation, not test.",
    },
    "synthetic": {
        "title": "synthetic scenes with displaced labels",
        "text": "64 scenes of 512² at 0.3 m (`crispmap synthesize --seed 100 --label-offset 1.2`), each building's "
        "label displaced by itself by up to 1.2 m, to learn from; 20 scenes of another seed with exact labels to be "
        "examined on; both at 0.6 m, where the displacement is up to 2 pixels.",
    },
}

Scores = dict[str, NDArray[np.float64]]


def folders(name: str) -> dict[str, Path]:
    """Images and labels to learn from, and those to be examined on."""
    if name == "jonkoping":
        home = DATA / "jonkoping"
        return {
            "images": home / "train/images",
            "labels": home / "train/masks",
            "val_images": home / "val/images",
            "val_labels": home / "val/masks",
        }
    home = WORK / "scenes"
    return {
        "images": home / "train/images",
        "labels": home / "train/masks_offset",
        "val_images": home / "test/images",
        "val_labels": home / "test/masks",
    }


def synthesise() -> None:
    """Scenes whose training labels lie off by up to 2 pixels at the 0.6 m that the network sees, and exact ones."""
    for part, scenes, seed, offset in (("train", 64, 100, 1.2), ("test", 20, 101, 0.0)):
        if not (WORK / "scenes" / part).exists():
            write_scenes(WORK / "scenes" / part, scenes, 512, seed, label_offset=offset)


def train(name: str, loss: str, seed: int, steps: int, window: int, keep: bool) -> None:
    """Trains one network and writes its counts on each tile."""
    out = WORK / name / f"{loss}-{steps}-{seed}.json"
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    run = WORK / name / f"{loss}-{steps}-{seed}"
    settings = FitSettings(
        **folders(name),
        out=run,
        scale=0.5,
        steps=steps,
        steps_per_epoch=steps,  # one validation, at the end: the last weights are the kept ones
        seed=seed,
        loss=candidates.LOSSES[loss],
        data=DataSettings(window=window),
        model=ModelSettings(decoder_channels=[128, 64, 32, 16, 8]),
    )
    fit(settings)
    model = load_model(run).eval()
    where = folders(name)
    scenes = find_scenes(where["val_images"], where["val_labels"], scale=0.5)
    tiles = {scene.image.path.stem: examine(model, scene) for scene in scenes}
    out.write_text(json.dumps({"loss": loss, "seed": seed, "steps": steps, "window": window, "tiles": tiles}))
    if not keep:
        subprocess.run(["rm", "-r", str(run / "checkpoints")], check=True)
    print(name, loss, seed, " ".join(f"{k} {v:.3f}" for k, v in pooled_scores([tiles]).items()), flush=True)


@torch.inference_mode()
def examine(model: SegmentationModel, scene: Scene) -> dict[str, Any]:
    """Counts of one tile, seen whole."""
    window = scene.image.window
    side = round(window.height * scene.scale), round(window.width * scene.scale)
    sample = scene.read(window, side)
    pred = model(torch.from_numpy(sample.image)[None]).sigmoid()[:, 0] > 0.5
    truth, valid = torch.from_numpy(sample.label == 1)[None], torch.from_numpy(sample.label != 255)[None]
    edges = boundary_counts(pred, truth, TOLERANCES, "pixels", valid)
    length = perimeter_counts(pred, truth, valid)
    right = pred & valid
    found, true_objects, pred_objects = objects(right[0].numpy(), truth[0].numpy())
    return {
        "tp": int((right & truth).sum()),
        "fp": int((right & ~truth).sum()),
        "fn": int((~pred & truth & valid).sum()),
        "matched_pred": edges.matched_predicted[0].tolist(),
        "pred": int(edges.predicted[0]),
        "matched_true": edges.matched_true[0].tolist(),
        "true": int(edges.true[0]),
        "perimeter_pred": int(length.predicted[0]),
        "perimeter_true": int(length.true[0]),
        "found": found,
        "true_objects": true_objects,
        "pred_objects": pred_objects,
    }


def objects(pred: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    """True objects of which at least half is predicted, all true objects, and all predicted ones."""
    labels, count = ndimage.label(truth)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    covered = np.bincount(labels[pred], minlength=count + 1)[1:]
    large = areas >= SMALLEST_OBJECT
    pred_labels, pred_count = ndimage.label(pred)
    pred_areas = np.bincount(pred_labels.ravel(), minlength=pred_count + 1)[1:]
    return int((large & (2 * covered >= areas)).sum()), int(large.sum()), int((pred_areas >= SMALLEST_OBJECT).sum())


def scores(counts: Scores) -> dict[str, NDArray[np.float64]]:
    """Scores of counts pooled over the last axis."""
    total = {key: value.sum(-1) for key, value in counts.items()}
    result = {"iou": total["tp"] / (total["tp"] + total["fp"] + total["fn"])}
    for i, tolerance in enumerate(TOLERANCES):
        precision = total[f"matched_pred{i}"] / np.maximum(total["pred"], 1)
        recall = total[f"matched_true{i}"] / np.maximum(total["true"], 1)
        result[f"bf1@{tolerance:g}"] = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    result["perimeter"] = total["perimeter_pred"] / total["perimeter_true"]
    result["found"] = total["found"] / total["true_objects"]
    result["objects"] = total["pred_objects"] / total["true_objects"]
    return result


def pooled_scores(runs: list[dict[str, dict[str, Any]]]) -> dict[str, float]:
    """Mean over runs of the scores pooled over each run's tiles."""
    return {key: float(value.mean()) for key, value in scores(as_arrays(runs)).items()}


def as_arrays(runs: list[dict[str, dict[str, Any]]]) -> Scores:
    """Counts as arrays (runs, tiles)."""
    names = sorted(runs[0])
    flat: Scores = {}
    for key, value in runs[0][names[0]].items():
        if isinstance(value, list):
            for i in range(len(value)):
                flat[f"{key}{i}"] = np.array([[run[name][key][i] for name in names] for run in runs], float)
        else:
            flat[key] = np.array([[run[name][key] for name in names] for run in runs], float)
    return flat


def bootstrap(one: Scores, other: Scores, draws: int = 4000) -> dict[str, tuple[float, float, float]]:
    """Difference of the mean scores, and its 95 % interval over tiles and seeds drawn again, both paired."""
    runs, tiles = one["tp"].shape
    rng = np.random.default_rng(0)
    differences: dict[str, list[float]] = {}
    for _ in range(draws):
        seeds, drawn = rng.integers(runs, size=runs), rng.integers(tiles, size=tiles)
        a, b = ({k: v[seeds][:, drawn] for k, v in counts.items()} for counts in (one, other))
        for key, value in scores(a).items():
            differences.setdefault(key, []).append(float((value - scores(b)[key]).mean()))
    exact = {key: float((value - scores(other)[key]).mean()) for key, value in scores(one).items()}
    return {key: (exact[key], *np.quantile(differences[key], [0.025, 0.975]).tolist()) for key in exact}


def read(name: str, steps: int) -> dict[str, dict[int, dict[str, Any]]]:
    """Tiles of all finished runs by loss and seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for path in sorted((WORK / name).glob(f"*-{steps}-*.json")):
        run = json.loads(path.read_text())
        found.setdefault(run["loss"], {})[run["seed"]] = run["tiles"]
    return found


def show(name: str, steps: int) -> None:
    """Prints the scores of all finished runs by loss."""
    for loss, runs in read(name, steps).items():
        means = pooled_scores(list(runs.values()))
        print(f"{loss:28s} n={len(runs)}", " ".join(f"{k} {v:.3f}" for k, v in means.items()))


def summarise(name: str, steps: int) -> None:
    """Writes what the finished runs say."""
    found = read(name, steps)
    by_seed = {
        loss: {str(seed): pooled_scores([tiles]) for seed, tiles in sorted(runs.items())}
        for loss, runs in found.items()
    }
    differences = {
        f"{OURS} − {loss}": compare(found[OURS], found[loss]) for loss in found if loss != OURS and OURS in found
    }
    result = {
        "command": f"python benchmarks/loss_comparison.py train {name} --losses … --seeds …; … summarise {name}",
        "data": DESCRIPTIONS[name],
        "training": f"UNet/ResNet-18 (decoder 128–8), from scratch, {steps} steps of 8 windows of 128², AdamW, one "
        "cycle to 1e-3; the last weights; tiles seen whole, threshold 0.5",
        "losses": {loss: candidates.LOSSES[loss] for loss in found},
        "scores": by_seed,
        "differences": {
            key: {score: {"mean": m, "low": low, "high": high} for score, (m, low, high) in value.items()}
            for key, value in differences.items()
        },
        **circumstances(),
    }
    out = RESULTS / f"loss-comparison-{name}.json"
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    out.with_suffix(".md").write_text(_page(name, result, found, differences))
    print(f"{out.relative_to(ROOT)} written")


def compare(ours: dict[int, Any], others: dict[int, Any]) -> dict[str, tuple[float, float, float]]:
    """Differences over the seeds that both have."""
    seeds = sorted(set(ours) & set(others))
    return bootstrap(*(as_arrays([runs[seed] for seed in seeds]) for runs in (ours, others)))


def _page(
    name: str,
    result: dict[str, Any],
    found: dict[str, Any],
    differences: dict[str, dict[str, tuple[float, float, float]]],
) -> str:
    keys = ("iou", "bf1@1", "bf1@2", "bf1@3", "perimeter", "found", "objects")
    heads = ("IoU", "BF1 1 px", "BF1 2 px", "BF1 3 px", "perimeter ratio", "found", "objects")
    first = [loss for loss in MAIN if loss in found]
    rest = [loss for loss in found if loss not in MAIN]
    lines = [
        f"# Losses compared: {result['data']['title']}",
        "",
        result["data"]["text"],
        "",
        f"{result['training']}. Boundary F1 under the convention *pixels*; perimeter ratio, prediction / truth, "
        "in pixel edges; *found*: true objects of 20 pixels and more of which at least half is predicted; "
        "*objects*: predicted ones of that size, for each true one. All pooled over the tiles of a run, then the mean "
        "over seeds (± their standard deviation).",
        "",
        f"Made by `benchmarks/loss_comparison.py`; what each loss is, seed by seed, versions and machine: "
        f"[loss-comparison-{name}.json](loss-comparison-{name}.json).",
        "",
        "| loss | seeds | " + " | ".join(heads) + " |",
        "|---|---" + "|---" * len(heads) + "|",
    ]
    for loss in [*first, *rest]:
        runs = scores(as_arrays([tiles for _, tiles in sorted(found[loss].items())]))
        many = len(found[loss]) > 1
        cells = [
            f"{runs[k].mean():.3f}" + (f" ± {runs[k].std(ddof=1):.3f}" if many and loss in MAIN else "") for k in keys
        ]
        lines.append(f"| {loss} | {len(found[loss])} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Differences paired by seed, with 95 % intervals from 4,000 bootstrap draws of seeds and tiles:",
        "",
        "| | seeds | " + " | ".join(heads) + " |",
        "|---|---" + "|---" * len(heads) + "|",
    ]
    for loss in [*first, *rest]:
        key = f"{OURS} − {loss}"
        shared = len(set(found[loss]) & set(found.get(OURS, ())))
        if key in differences and shared >= 3:
            cells = ["{:+.3f} [{:+.3f}, {:+.3f}]".format(*differences[key][k]) for k in keys]
            lines.append(f"| {key} | {shared} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "show", "summarise"])
    parser.add_argument("name", choices=["jonkoping", "synthetic"])
    parser.add_argument("--losses", nargs="+", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--keep", action="store_true", help="keep the checkpoints")
    args = parser.parse_args()
    if args.what == "train":
        if args.name == "synthetic":
            synthesise()
        for seed in args.seeds:
            for loss in args.losses:
                train(args.name, loss, seed, args.steps, args.window, args.keep)
    elif args.what == "show":
        show(args.name, args.steps)
    else:
        summarise(args.name, args.steps)


if __name__ == "__main__":
    main()
