"""Every command and every script that the pages show is carried out, on a small world and with little of everything."""

import shlex
from pathlib import Path

import pytest
import yaml
from shown import BLOCKS, crispmap_arguments, write_files
from small_world import TINY_ENCODER, image_of, mask_of, place_of

from crispmap.cli import main
from crispmap.settings import ModelSettings

pytestmark = pytest.mark.long

NETWORK = ["--model.architecture", "Unet", "--model.encoder", TINY_ENCODER, "--model.decoder_channels", "[8,8,8,8,8]"]
LITTLE = ["--data.window", "64", "--data.batch_size", "2", "--data.workers", "0", "--trainer.accelerator", "cpu"]
# What is added to a command, so that it does little; what was given before is overruled.
LESS = {
    "fit": [*NETWORK, *LITTLE, "--model.weights", "null", "--steps", "2", "--overwrite"],
    "compare": ["--networks", TINY_ENCODER, *NETWORK[-2:], *LITTLE, "--seeds", "2", "--steps", "2"],
    "search-weight": [*NETWORK, *LITTLE, "--weights", "[0.1,0.9]", "--steps", "3", "--steps-per-epoch", "1",
                      "--from-epoch", "1", "--every-epochs", "1", "--overwrite"],
    "synthesize": ["--scenes", "2", "--size", "128", "--overwrite"],
    "predict": ["--overwrite"],
    "vectorize": ["--overwrite"],
    "evaluate": ["--overwrite"],
    "export": ["--overwrite"],
}  # fmt: skip
TINY_RECIPE = {
    "losses": "paper,balanced",
    "networks": TINY_ENCODER,
    "model": {"decoder_channels": [8, 8, 8, 8, 8]},
    "seeds": 2,
    "steps": 2,
    "steps_per_epoch": 2,
    "data": {"window": 64, "batch_size": 2, "workers": 0},
    "trainer": {"precision": "32-true", "accelerator": "cpu"},
}
TINY_SCENES = {part: {"scenes": 2, "size": 128, "seed": seed} for part, seed in (("train", 7), ("test", 8))}
TINY_SCENES["train"]["label_offset"] = 1.2
# What cannot be carried out here, by a part of it, and why. tests/docs/test_pages.py parses all of them.
NOT_HERE = {
    "torchrun": "takes two machines; tests/test_fit_ddp.py trains in two processes",
    "srun": "takes a cluster under SLURM",
    "--trainer.devices 4": "takes four GPUs",
    "--engine ray": "takes a cluster; tests/predict/test_ray.py has one",
    "https://": "takes a network; tests/predict/test_rasters.py has addresses",
    "reproduce potsdam": "takes the data; tests/cli/test_cli_reproduce.py has a small tree",
    "reproduce aicd": "takes the data; tests/cli/test_cli_reproduce.py has a small tree",
    "--dataset '{name: potsdam": "takes the data; tests/data/test_potsdam.py has a small tree",
    "hf://": "takes the Hub; tests/export/test_pretrained.py has a folder in its place",
}
RECORDS = "docs/results/"  # say with what on which data they were made; benchmarks make them
# Pages whose scripts other tests carry out: parts of examples/, and what needs tensors that the page does not make.
SCRIPTS_ELSEWHERE = {
    "docs/drop-in.md": "tests/test_examples.py",
    "docs/export.md": "tests/export, with a folder in the place of the Hub",
    "docs/metrics.md": "tests/test_metrics_page.py",
}
ELSEWHERE = {
    "docs/start.md": "tests/docs/test_pages.py",
    "docs/troubleshooting.md": "tests/docs/test_troubleshooting.py",
}
BEFORE = {  # what a page takes for granted, beside the world
    "docs/datasets.md": [
        ["fit", "--dataset", "inria", "--images", "data/AerialImageDataset", "--out", "runs/inria"],
        ["predict", "runs/inria", "data/AerialImageDataset/train/images", "-o", "maps"],
    ]
}
REPLACED = {"steps=500)": "steps=2, **tiny)", '{"steps": 500, "networks": "small"}': "recipe"}  # in scripts
NAMES = {
    "tiny": {"networks": TINY_ENCODER, "seeds": 2, "model": ModelSettings(decoder_channels=[8, 8, 8, 8, 8])},
    "recipe": TINY_RECIPE,
}


@pytest.fixture
def whole_world(world, write_raster):
    """The world, with INRIA's layout, a network to predict with, and lists of images."""
    root = Path("data/AerialImageDataset")
    for i, name in enumerate(["austin1", "austin6", "vienna3", "vienna10"]):
        write_raster(root / "train/images" / f"{name}.tif", image_of(i), transform=place_of(i))
        write_raster(root / "train/gt" / f"{name}.tif", mask_of(i), transform=place_of(i))
    write_raster(root / "test/images" / "sfo1.tif", image_of(9), transform=place_of(9))
    Path("AerialImageDataset").symlink_to(root)
    Path("tiles.txt").write_text("ortho/town.tif\northo/village.tif\n")
    run(["fit", "--images", "ortho", "--labels", "buildings.gpkg", "--out", "runs/houses"])
    return world


def run(arguments):
    """Calls a command with little of everything."""
    command, *rest = arguments
    if command == "reproduce" and "--print" not in rest:
        config = Path(rest[rest.index("--config") + 1] if "--config" in rest else "tiny.yaml")
        given = yaml.safe_load(config.read_text()) if "--config" in rest else {}
        config.write_text(
            yaml.safe_dump(given | TINY_RECIPE | ({"scenes": TINY_SCENES} if "synthetic" in rest else {}))
        )
        rest += ["--config", str(config), "--networks", TINY_ENCODER]
    assert main([command, *rest, *LESS.get(command, [])]) == 0, shlex.join(arguments)


def here(line):
    return not any(part in line for part in NOT_HERE)


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS} - set(ELSEWHERE)))
def test_a_page_from_top_to_bottom(page, whole_world):
    if page.startswith(RECORDS):
        pytest.skip("a record of what was measured")
    write_files(page)
    for arguments in BEFORE.get(page, []):
        run(arguments)
    names = dict(NAMES)
    for block in BLOCKS:
        if block.page != page:
            continue
        if block.language == "python" and page not in SCRIPTS_ELSEWHERE:
            text = block.text
            for much, little in REPLACED.items():
                text = text.replace(much, little)
            exec(compile(text, str(block), "exec"), names)
        elif block.language in ("bash", "sh"):
            for line in filter(here, block.lines):
                if (arguments := crispmap_arguments(line)) is not None:
                    run(arguments)


def test_what_is_left_out_is_there():
    shell = "\n".join(line for block in BLOCKS if block.language in ("bash", "sh") for line in block.lines)
    assert [part for part in NOT_HERE if part not in shell] == []
    assert {block.page for block in BLOCKS} >= {*SCRIPTS_ELSEWHERE, *ELSEWHERE, *BEFORE}
