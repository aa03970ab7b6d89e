"""`crispmap fit` through its real entry point, on imagery that is small and easy."""

import csv
import shlex
import subprocess
import sys

import geopandas as gpd
import numpy as np
import pytest
import torch
import yaml
from shapely import box

from crispmap.cli import main
from crispmap.cli.fit import build_parser
from crispmap.fit import build_loss
from crispmap.models import load_model

QUICK = [
    "--model.encoder",
    "timm-mobilenetv3_small_minimal_100",
    "--data.window",
    "32",
    "--data.batch-size",
    "2",
    "--data.workers",
    "0",
    "--trainer.precision",
    "32-true",
]


def scenes(folder, write_raster, count=3, bands=3, dtype="uint8", suffix=".tif", seed=0):
    """Bright squares on dark ground, with masks."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        mask = np.zeros((96, 128), "uint8")
        for _ in range(9):
            row, col = rng.integers(0, (84, 116))
            mask[row : row + 12, col : col + 12] = 255
        image = (rng.integers(20, 60, (bands, 96, 128)) + 150 * (mask > 0)).astype(dtype)
        write_raster(folder / "images" / f"s{i}{suffix}", image)
        write_raster(folder / "masks" / f"s{i}{suffix}", mask)
    return ["--images", str(folder / "images"), "--labels", str(folder / "masks")]


@pytest.fixture
def data(tmp_path, write_raster):
    return scenes(tmp_path, write_raster)


@pytest.fixture
def fit(tmp_path, data):
    """Runs `crispmap fit` on the scenes and returns the exit status."""

    def run(*more, out="run", steps=3, data=data):
        return main(["fit", *data, "--out", str(tmp_path / out), "--steps", str(steps), *QUICK, *map(str, more)])

    return run


@pytest.fixture
def refused(tmp_path, data, capsys):
    """Runs `crispmap fit` with something wrong; checks the status, the one line, and that nothing was written."""

    def run(*arguments, data=data, says):
        capsys.readouterr()
        assert (
            main(["fit", *data, "--out", str(tmp_path / "refused"), "--steps", "2", *QUICK, *map(str, arguments)]) == 2
        )
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("crispmap fit: ")
        assert says in lines[0]
        assert not (tmp_path / "refused").exists()

    return run


def test_a_run_holds_all_that_predicting_needs(fit, tmp_path, capsys):
    assert fit("--steps-per-epoch", 1) == 0
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "model.pt", "model.stac.json", "config.yaml", "metrics.csv", "checkpoints", "tensorboard"
    }  # fmt: skip
    model = load_model(run)
    assert model.spec.bands == 3
    assert model.spec.dtype == "uint8"
    assert model.spec.trained_resolution == pytest.approx(0.5)
    assert 20 < model.spec.mean[0] < 150
    assert model.spec.training["settings"]["steps"] == 3
    assert model(torch.full((1, 3, 50, 70), 60.0)).shape == (1, 1, 50, 70)
    assert list(run.glob("tensorboard/events*"))
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["val/iou"]) for row in rows) == 3  # a validation for each of three epochs of one step
    assert "the model of step" in capsys.readouterr().out


def test_training_learns(fit, tmp_path):
    assert fit("--optim.learning-rate", 0.003, "--seed", 1, steps=40) == 0
    assert load_model(tmp_path / "run").spec.training["metrics"]["iou"] > 0.6


def test_the_same_command_gives_the_same_weights(fit, tmp_path):
    for out in ("one", "two"):
        assert fit(out=out) == 0
    states = [load_model(tmp_path / out).state_dict() for out in ("one", "two")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_saved_config_repeats_the_run(fit, tmp_path):
    assert (
        fit("--loss", "crispmap.DiceLoss", "--val-images", tmp_path / "images", "--val-labels", tmp_path / "masks") == 0
    )
    config = tmp_path / "run" / "config.yaml"
    assert yaml.safe_load(config.read_text())["loss"] == {"class_path": "crispmap.DiceLoss"}
    assert main(["fit", "--config", str(config), "--out", str(tmp_path / "again")]) == 0
    one, two = (load_model(tmp_path / out) for out in ("run", "again"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_loss_from_yaml(fit, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        """
loss:
  class_path: crispmap.MixedLoss
  init_args:
    boundary: {class_path: crispmap.BoundaryLoss, init_args: {theta: 7, variant: paper}}
    weight: {class_path: crispmap.RampWeight, init_args: {to: 0.3, start: 0.0, end: 1.0}}
"""
    )
    assert fit("--config", config, "--trainer.log_every_n_steps", 1) == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        weights = [float(row["train/weight"]) for row in csv.DictReader(file) if row["train/weight"]]
    np.testing.assert_allclose(weights, [0.0, 0.1, 0.2], atol=1e-6)


@pytest.mark.parametrize(
    "flags",
    [
        ["--loss", "crispmap.BoundaryLoss", "--loss.theta", "7"],
        ["--loss.class_path=crispmap.BoundaryLoss", "--loss.init_args.theta=7"],
        ["--loss", "crispmap.BoundaryLoss", "--loss.init_args", '{"theta": 7}'],
        ["--loss", '{"class_path": "crispmap.BoundaryLoss", "init_args": {"theta": 7}}'],
    ],
)
def test_a_loss_from_flags(flags):
    loss = build_parser().parse_args(["--images", "i", "--labels", "l", "--out", "o", *flags]).loss
    assert loss == {"class_path": "crispmap.BoundaryLoss", "init_args": {"theta": 7}}
    assert build_loss(loss).theta == 7


def loss_of(*flags):
    return build_loss(build_parser().parse_args(["--images", "i", "--labels", "l", "--out", "o", *flags]).loss)


@pytest.mark.parametrize(
    "part",
    [
        ["--loss.boundary.class_path", "crispmap.BoundaryLoss", "--loss.boundary.init_args.theta", "9"],
        ["--loss.boundary.class_path", "crispmap.BoundaryLoss", "--loss.boundary.theta", "9"],
        ["--loss.boundary", "crispmap.BoundaryLoss", "--loss.boundary.init_args.theta", "9"],
        ["--loss.boundary", "crispmap.BoundaryLoss", "--loss.boundary.theta", "9"],
        ["--loss.init_args.boundary=crispmap.BoundaryLoss", "--loss.init_args.boundary.init_args.theta=9"],
        ["--loss.boundary", '{"class_path": "crispmap.BoundaryLoss"}', "--loss.boundary.theta", "9"],
    ],
)
def test_parts_of_a_mixture_from_flags(part):
    loss = loss_of("--loss", "crispmap.MixedLoss", "--loss.weight", "0.3", *part)
    assert (loss.weight, loss.boundary.theta) == (0.3, 9)


def test_the_example_changes_only_the_tolerance_of_the_default(capsys):
    assert main(["fit", "--help"]) == 0
    example = capsys.readouterr().out.partition("example:")[2].replace("\\\n", " ")
    (line,) = [line for line in example.splitlines() if "--loss" in line]
    loss = loss_of(*shlex.split(line[line.index("--loss") :]))
    assert loss.boundary.theta == 9
    loss.boundary.theta = build_loss(None).boundary.theta
    assert repr(loss) == repr(build_loss(None))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--loss.weight", "0.3", "--loss.weight.to", "0.5"], "--loss.weight.to sets a part of 0.3, which has none"),
        (["--loss.boundary.theta", "9", "--loss.boundary", "crispmap.BoundaryLoss"], "--loss.boundary would replace"),
        (["--loss.theta", "9", "--loss.init_args", "{}"], "--loss.init_args would replace"),
        (["--loss.region", "crispmap.IoULoss", "--loss.region.theta", "9"], "--loss cannot be made"),
    ],
)
def test_flags_of_a_loss_that_do_not_go_together(refused, flags, says):
    refused("--loss", "crispmap.MixedLoss", *flags, says=says)


def test_losses_of_others_that_know_ignored_pixels(fit):
    assert (
        fit("--loss", '{"class_path": "segmentation_models_pytorch.losses.DiceLoss", "init_args": {"mode": "binary"}}')
        == 0
    )


@pytest.mark.usefixtures("plain_network")
@pytest.mark.parametrize("name", ["f.geojson", "f.fgb", "f.parquet"])
def test_vectors_as_labels_and_a_single_image(tmp_path, write_raster, fit, name):
    write_raster(tmp_path / "one.tif", np.random.default_rng(0).integers(1, 99, (1, 128, 64)).astype("uint16"))
    squares = [
        box(500_000 + x, 4_999_998 - y, 500_003 + x, 5_000_001 - y) for x in (5, 15, 25) for y in (5, 20, 40, 60)
    ]
    frame = gpd.GeoDataFrame(geometry=squares, crs="EPSG:32633").to_crs(4326)
    write = frame.to_parquet if name.endswith(".parquet") else frame.to_file
    write(tmp_path / name)
    data = ["--images", str(tmp_path / "one.tif"), "--labels", str(tmp_path / name)]
    assert fit("--data.val-share", 0.4, data=data) == 0
    spec = load_model(tmp_path / "run").spec
    assert (spec.bands, spec.dtype) == (1, "uint16")


def test_scale_and_resolution_are_remembered(fit, tmp_path):
    assert fit("--scale", 0.5, out="scaled") == 0
    assert fit("--resolution", 0.8, out="resolved") == 0
    scaled, resolved = (load_model(tmp_path / out).spec for out in ("scaled", "resolved"))
    assert scaled.scale == 0.5
    assert scaled.trained_resolution == pytest.approx(1.0)
    assert resolved.resolution == pytest.approx(0.8)


def test_a_run_can_start_from_another(fit, tmp_path, write_raster):
    assert fit(out="first") == 0
    assert fit("--init", tmp_path / "first", "--optim.learning-rate", 1e-8, out="second", steps=1) == 0
    first, second = (load_model(tmp_path / out) for out in ("first", "second"))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_early_stop(fit, tmp_path):
    assert fit("--optim.patience", 1, "--optim.learning-rate", 1e-8, "--steps-per-epoch", 1, steps=30) == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert sum(bool(row["val/iou"]) for row in csv.DictReader(file)) < 30


def test_a_run_is_logged_elsewhere_too(fit, tmp_path):
    folder = tmp_path / "elsewhere"
    assert fit("--trainer.logger", f"{{CSVLogger: {{save_dir: {folder}}}}}") == 0
    (table,) = folder.rglob("metrics.csv")
    with table.open() as ours, (tmp_path / "run/metrics.csv").open() as always:
        scores = [[row["val/iou"] for row in csv.DictReader(file) if row["val/iou"]] for file in (ours, always)]
    assert scores[0] == scores[1] != []
    assert list((tmp_path / "run" / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("logger", "says"),
    [
        ("PaperLogger", "has no PaperLogger; there are CSVLogger,"),
        ("CSVLogger", "cannot be made: "),
        ("true", "--trainer.logger is True; give a name"),
        ("[CSVLogger]", "is ['CSVLogger']; give a name"),
        ("7", "is 7; give a name"),
    ],
)
def test_loggers_that_cannot_be(fit, tmp_path, capsys, logger, says):
    assert fit("--trainer.logger", logger) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_gradients_may_be_accumulated(fit, tmp_path):
    assert fit("--trainer.accumulate_grad_batches", 2, "--steps-per-epoch", 2, steps=3) == 0
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3


def test_overwrite_replaces_only_what_a_run_wrote(fit, tmp_path):
    assert fit() == 0
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert fit("--overwrite", steps=1) == 0
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert load_model(tmp_path / "run").spec.training["settings"]["steps"] == 1


def test_existing_run(fit, tmp_path, capsys):
    assert fit() == 0
    before = (tmp_path / "run" / "model.pt").read_bytes()
    capsys.readouterr()
    assert fit() == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "run" / "model.pt").read_bytes() == before


class TestBadInput:
    def test_paths(self, refused, tmp_path, data):
        refused(data=["--images", str(tmp_path / "no"), *data[2:]], says="images not found")
        refused(data=[*data[:2], "--labels", str(tmp_path / "no.gpkg")], says="--labels not found")
        refused("--init", tmp_path / "no", says="--init not found")
        refused("--area", tmp_path / "no.gpkg", says="--area not found")

    def test_unreadable_image(self, refused, tmp_path):
        (tmp_path / "images" / "s0.tif").write_text("no raster")
        refused(says="cannot be read as a raster")

    def test_image_without_label(self, refused, tmp_path):
        (tmp_path / "masks" / "s1.tif").unlink()
        refused(says="no label")

    def test_label_of_another_size(self, refused, tmp_path, write_raster):
        write_raster(tmp_path / "masks" / "s1.tif", np.ones((10, 10), "uint8"))
        refused(says="must share one grid")

    def test_vectors_elsewhere_or_without_crs(self, refused, tmp_path, data):
        far = gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs="EPSG:32633")
        far.to_file(tmp_path / "far.gpkg")
        refused(data=[*data[:2], "--labels", str(tmp_path / "far.gpkg")], says="does not overlap")
        far.set_crs(None, allow_override=True).to_file(tmp_path / "nocrs.gpkg")
        refused(data=[*data[:2], "--labels", str(tmp_path / "nocrs.gpkg")], says="has no CRS")

    def test_empty_folder(self, refused, tmp_path, data):
        (tmp_path / "empty").mkdir()
        refused(data=["--images", str(tmp_path / "empty"), *data[2:]], says="no images in")

    def test_settings(self, refused, tmp_path):
        refused("--steps", "many", says="steps")
        refused("--data.batch-size", 0, says="must be from 1")
        refused("--scale", 0.5, "--resolution", 1, says="exclude each other")
        refused("--val-images", tmp_path, says="belong together")
        refused("--nodata", "some", says="'none' or a number")
        refused("--colour", "red", says="--colour")
        refused("--trainer.max_steps", 3, says="--trainer.max_steps is not to be set")
        refused("--model.encoder", "nonsense", says="nonsense")
        refused("--model.architecture", "Nonsense", says="no architecture")

    @pytest.mark.parametrize("theta", [4, 0, -3])
    def test_theta(self, refused, theta):
        refused("--loss", "crispmap.BoundaryLoss", "--loss.theta", theta, says="theta")
        refused("--loss", f'{{"class_path": "crispmap.BoundaryLoss", "init_args": {{"theta": {theta}}}}}', says="theta")

    def test_losses(self, refused):
        refused("--loss", "crispmap.NoLoss", says="--loss")
        refused(
            "--loss",
            '{"class_path": "segmentation_models_pytorch.losses.MCCLoss"}',
            says="has no ignore_index",
        )

    def test_too_little_to_normalise_by(self, fit, capsys):
        assert fit("--data.batch-size", 1) == 2
        assert "raise --data.batch_size to 2 or more, or --data.window" in capsys.readouterr().err

    def test_a_start_that_is_no_model(self, refused, tmp_path):
        (tmp_path / "model.pt").write_text("no model")
        refused("--init", tmp_path / "model.pt", says="model.pt")

    def test_weights_that_cannot_be_had(self, refused, monkeypatch):
        import segmentation_models_pytorch as smp

        def offline(*args, **settings):
            raise FileNotFoundError("no connection")

        monkeypatch.setattr(smp, "create_model", offline)
        monkeypatch.setattr("crispmap.fit.log.info", lambda *args: None)
        refused("--model.weights", "imagenet", says="--model.weights null")


def test_help_and_mistyped_paths_answer_without_torch():
    code = (
        "import sys; from crispmap.cli import main; "
        "assert main(['fit', '--help']) == 0; "
        "assert main(['fit', '--images', 'nowhere', '--labels', 'x', '--out', 'y']) == 2; "
        "assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "example:" in done.stdout
    assert "--val-images" in done.stdout
