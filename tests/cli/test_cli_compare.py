"""`crispmap compare` through its real entry point, on imagery that is small and easy."""

import json
import os
import re
import shlex

import pytest

import crispmap.fit
from crispmap.cli import main
from crispmap.cli.compare import build_parser


@pytest.fixture
def data(bright_squares) -> list[str]:
    images, masks = bright_squares
    return ["--images", str(images), "--labels", str(masks)]


QUICK = [
    *["--networks", "timm-mobilenetv3_small_minimal_100", "--model.decoder-channels", "[8,8,8,8,8]"],
    *["--data.window", "64", "--data.batch-size", "2", "--data.workers", "0", "--trainer.precision", "32-true"],
]


def test_from_imagery_to_the_page_and_again(tmp_path, data, capsys, monkeypatch):
    out = tmp_path / "out"
    losses = tmp_path / "losses.yaml"
    losses.write_text("bce: crispmap.BCELoss\nwide: {class_path: crispmap.BoundaryLoss, init_args: {theta: 7}}\n")
    arguments = [*data, "--out", str(out), "--losses", str(losses), "--seeds", "2", "--steps", "4", *QUICK]
    arguments += ["--steps-per-epoch", "2", "--val-images", data[1], "--val-labels", data[3]]
    assert main(["compare", *arguments]) == 0
    assert capsys.readouterr().out == f"{out}/report.html: open it in a browser\n"

    results = json.loads((out / "results.json").read_text())
    assert {method["name"] for method in results["methods"]} == {"bce", "wide"}
    for method in results["methods"]:
        assert method["seeds"] == [0, 1]
        assert method["step_ms"] > 0
        assert method["loss_alone"]["kept_bytes"] > 0
        assert method["curves"]["0"]["step"] == [2, 4]
        assert 0 <= method["scores"]["iou"]["mean"] <= 1
    page = (out / "report.html").read_text()
    assert "wide" in page
    assert "theta" in page
    assert page.count("data:image/") >= 2
    assert not re.findall(r"https?:", page)
    assert "| wide − bce | 2 |" in (out / "results.md").read_text()

    def never(*_: object) -> None:
        raise AssertionError("a finished run was begun again")

    monkeypatch.setattr(crispmap.fit.Trainer, "fit", never)
    assert main(shlex.split(results["command"])[1:]) == 0  # the command that the page gives
    again = json.loads((out / "results.json").read_text())
    same = ("plan", "tiles", "differences", "methods", "command")
    assert [again[key] for key in same] == [results[key] for key in same]


def test_a_yaml_file_says_the_same_as_flags(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "images: i\nlabels: l\nout: o\nlosses:\n  a: crispmap.BCELoss\n  b: dice\nseeds: [3, 4]\n"
        "model: {encoder: resnet34}\n"
    )
    args = build_parser().parse_args(["--config", str(config), "--steps", "7"])
    assert args.losses == {"a": "crispmap.BCELoss", "b": "dice"}
    assert args.seeds == [3, 4]
    assert args.steps == 7
    assert args.model.encoder == "resnet34"


def test_help_names_the_losses_and_gives_an_example(capsys):
    assert main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    for word in ("crispmap compare --images", "balanced", "bce+iou", "--networks", "--val-images", "--reference"):
        assert word in text


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--losses", "bce,nonsense"], "no loss 'nonsense'"),
        (["--seeds", "0"], "--seeds"),
        (["--reference", "nobody"], "nobody"),
        (["--val-images", "missing", "--val-labels", "missing"], "--val-images not found"),
        (["--optim.patience", "2"], "unequal"),
        (["--steeps", "2"], "--steeps"),
        (["--losses", "missing.yaml"], "missing.yaml"),
    ],
)
def test_mistakes_are_one_line(tmp_path, data, capsys, more, says):
    assert main(["compare", *data, "--out", str(tmp_path / "out"), *more]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("crispmap compare: ")
    assert says in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["report.html", "results.json"])
@pytest.mark.parametrize("beside", [[], ["runs/bce_iou/model.pt", "runs/boundary/checkpoints/best.ckpt"]])
def test_what_another_command_wrote_is_left_alone(tmp_path, data, capsys, name, beside):
    out = tmp_path / "out"
    for each in [name, *beside]:
        (out / each).parent.mkdir(parents=True, exist_ok=True)
        (out / each).write_text("of crispmap demo")
    assert main(["compare", *data, "--out", str(out), *QUICK, "--losses", "bce", "--seeds", "1", "--steps", "1"]) == 2
    assert f"holds a {name} that is of no comparison" in capsys.readouterr().err
    files = [path for path in out.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(out / each for each in [name, *beside])
    assert {path.read_text() for path in files} == {"of crispmap demo"}


def test_a_pipe_for_the_record_of_a_run_is_not_waited_for(tmp_path, data, capsys):
    folder = tmp_path / "out/runs/small/bce/seed0"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "run.json")
    assert main(["compare", *data, "--out", str(tmp_path / "out"), "--networks", "small"]) == 2
    assert "run.json is a pipe" in capsys.readouterr().err
