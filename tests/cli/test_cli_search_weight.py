"""`crispmap search-weight` through its real entry point, and killed for good."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from crispmap.cli import main
from crispmap.models import load_model

SEARCH = ["--weights", "[0.2, 0.8]", "--from-epoch", "1", "--every-epochs", "1", "--steps", "6"]


@pytest.fixture
def command(tmp_path, two_houses):
    """The arguments of a quick search into a folder."""
    data = [part for name, path in two_houses.items() for part in (f"--{name.replace('_', '-')}", path)]
    data += ["--data.window", 32, "--data.workers", 0, "--data.batch-size", 2]
    net = ["--model.encoder", "mobilenet_v2", "--model.decoder-channels", "[8, 8, 8, 8, 8]", "--steps-per-epoch", 2]
    quick = ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]

    def arguments(out, *more):
        return ["search-weight", *map(str, [*data, *net, *quick, *SEARCH, "--out", tmp_path / out, *more])]

    return arguments


def record(run):
    content = json.loads((run / "search.json").read_text())
    content["cost"].pop("seconds")
    for branch in content["branches"]:
        branch.pop("seconds")
    return content


@pytest.mark.long
def test_killed_and_started_again_it_ends_alike(command, tmp_path, capsys):
    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    assert main(command("undisturbed")) == 0
    out = capsys.readouterr().out
    assert "weights: 0, 0." in out
    assert "10 steps in all" in out
    code = "import sys; from crispmap.cli import main; main(sys.argv[1:])"
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command("run")], stderr=subprocess.DEVNULL, env=environment
    )
    until(lambda: (run / "search.json").exists() and len(record(run)["branches"]) >= 2)
    process.kill()
    process.wait()
    assert not (run / "model.pt").exists()
    assert main(command("run")) == 0
    assert record(run) == record(undisturbed)
    one, two = (load_model(folder).state_dict() for folder in (run, undisturbed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    before = (run / "search.json").read_bytes()
    assert main(command("run")) == 0
    assert (run / "search.json").read_bytes() == before  # there was nothing left to do
    assert main(["predict", str(run), str(tmp_path / "images" / "0.tif"), "-o", str(tmp_path / "maps")]) == 0
    item, model = (json.loads((tmp_path / name).read_text()) for name in ("maps/0.stac.json", "run/model.stac.json"))
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert (tmp_path / "maps" / links["derived_from"]).resolve() == run / "model.stac.json"
    assert model["assets"]["weights"]["href"] == "model.pt"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_no_branch_outlives_a_killed_search(command, tmp_path):
    code = "import sys; from crispmap.cli import main; main(sys.argv[1:])"
    arguments = command("run", "--devices", "2", "--steps", "20000", "--steps-per-epoch", "5000")
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL)
    until(lambda: children(process.pid) and list(tmp_path.glob("run/branches/0-0.0/tensorboard/*")))
    branches = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(Path(f"/proc/{child}/cmdline").exists() for child in branches))


def children(parent):
    """Of a process, those that train branches."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ancestor = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if ancestor == parent and b"crispmap.weight_search" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--weights", "[]"], "--weights is []"),
        (["--from-epoch", "3"], "never begins"),
        (["--policy", "guess"], "policy"),
        (["--policy", "search", "--final-weight", "0.5"], "--final-weight belongs to"),
        (["--metric", "beauty"], "metric"),
        (["--network", "nonsense"], "no network"),
        (["--images", "nowhere"], "images not found"),
        (["--loss", "crispmap.DiceLoss"], "no boundary weight"),
    ],
)
def test_mistakes_are_one_line(command, tmp_path, capsys, flags, says):
    assert main(command("run", *flags)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("crispmap search-weight: ")
    assert says in lines[0]
    assert not (tmp_path / "run").exists()


def test_other_things_in_the_folder(command, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert main(command("run")) == 2
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "run" / "search.json").write_text("{}")
    assert main(command("run")) == 2
    assert "no record of a weight search" in capsys.readouterr().err
    assert main(command("run", "--overwrite", "--policy", "ramp", "--steps", "3")) == 0
    assert "weights: ramp; 4 steps in all" in capsys.readouterr().out
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert main(command("run", "--policy", "ramp", "--steps", "4")) == 2
    assert "other settings (steps)" in capsys.readouterr().err
