"""Nothing that a file holds is run: class paths are looked at before any is imported, and nothing unpickles freely."""

import ast
import re
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

import crispmap
from crispmap.class_paths import KNOWN, check_loss, check_settings
from crispmap.cli import main
from crispmap.errors import InputError, SettingError
from crispmap.input_file import parse_yaml, read_yaml

SOURCE = Path(crispmap.__file__).parent


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A module that anyone might have put on the path: importing it leaves a trace."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a_stranger.py").write_text(
        "import pathlib, torch\n"
        f"pathlib.Path({str(tmp_path / 'canary')!r}).touch()\n"
        "class Loss(torch.nn.BCEWithLogitsLoss):\n    ignore_index = 255\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.delitem(sys.modules, "a_stranger", raising=False)
    return tmp_path / "canary"


HIDDEN = [  # ways to name a class that jsonargparse would follow
    {"loss": "a_stranger.Loss"},
    {"loss": {"class_path": "a_stranger.Loss"}},
    {"loss": {"class_path": "crispmap.MixedLoss", "init_args": {"boundary": "a_stranger.Loss"}}},
    {"loss": {"class_path": "crispmap.MixedLoss", "init_args": {"boundary": {"class_path": "a_stranger.Loss"}}}},
    {"loss": {"class_path": "crispmap.MixedLoss", "init_args": {"boundary": '{"class_path": "a_stranger.Loss"}'}}},
    {
        "loss": {
            "class_path": "crispmap.MixedLoss",
            "init_args": {"boundary": '{"class_path": "a_str\\u0061nger.Loss"}'},
        }
    },
    {"loss.class_path": "a_stranger.Loss"},
    {"trainer": {"precision": {"class_path": "a_stranger.Loss"}}},
    {"trainer": {"precision": [{"class_path": "a_stranger.Loss"}]}},
    {"trainer": {"precision": "class_path: a_stranger.Loss"}},
    {"trainer": '{precision: {class_path: "a_str\\u0061nger.Loss"}}'},
    {"trainer.precision": {"class_path": "a_stranger.Loss"}},
    {"data": {"class_path": "a_stranger.Loss"}},
    {"data": "class_path: a_stranger.Loss"},
    {"trainer": {"logger": {"CSVLogger": {"save_dir": "elsewhere"}}}},
    {"trainer": {"logger": "WandbLogger"}},
    {"trainer": {"logger.CSVLogger.save_dir": "elsewhere"}},
    {"trainer.logger": "WandbLogger"},
    {"trainer.logger.CSVLogger.save_dir": "elsewhere"},
    {"trainer": {"profiler": "pytorch"}},
    {"trainer": {"plugins": ["a_stranger.Loss"]}},
    {"__path__": "other.yaml"},
    {"data": {"__default_config__": "other.yaml"}},
    {"data.__path__": "other.yaml"},
    {"data": "other.yaml"},
    {"config": "other.yaml"},
    {"dataset": {"class_path": "a_stranger.Loss"}},
    {"trust": True, "loss": "a_stranger.Loss"},
]


@pytest.mark.parametrize("settings", HIDDEN, ids=str)
def test_a_stranger_in_a_config_is_not_imported(settings, stranger, good, away, capsys):
    (away / "other.yaml").write_text("class_path: a_stranger.Loss\nloss: a_stranger.Loss\n")
    config = away / "c.yaml"
    config.write_text(yaml.safe_dump(settings))
    assert main(["fit", "--config", str(config), f"--images={good.image}", f"--labels={good.mask}", "--out=o"]) == 2
    assert re.search(r"c\.yaml (sets|gives|has)|a loss (names|has)", capsys.readouterr().err)
    assert not stranger.exists()
    assert "a_stranger" not in sys.modules
    assert not (away / "o").exists()


@pytest.mark.parametrize("command", ["compare", "reproduce", "search-weight"])
def test_no_other_command_imports_one(command, stranger, good, away, capsys):
    losses = away / "l.yaml"
    losses.write_text("mine: a_stranger.Loss\n")
    where = {
        "compare": ["compare", f"--images={good.image}", f"--labels={good.mask}", f"--losses={losses}"],
        "reproduce": ["reproduce", "inria", f"--data={good.run}", f"--losses={losses}"],
        "search-weight": ["search-weight", f"--images={good.image}", f"--labels={good.mask}", "--loss=a_stranger.Loss"],
    }
    assert main([*where[command], "--out=o"]) == 2
    assert "--trust" in capsys.readouterr().err
    assert not stranger.exists()


PROCESS = "{class_path: a_stranger.Loss}"


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("reproduce", "a flag"),
        *product(["compare", "reproduce"], ["a file", "a file, as text", "a file, as text in other words"]),
    ],
)
def test_losses_are_looked_at_before_they_are_made(command, how, stranger, good, away, capsys):
    losses = f"{{mine: {PROCESS}}}"
    (away / "c.yaml").write_text(
        {
            "a file": f"losses: {losses}",
            "a file, as text": f"losses: '{losses}'",
            "a file, as text in other words": 'losses: \'{"mine": {"class_path": "a_str\\u0061nger.Loss"}}\'',
        }.get(how, "steps: 1")
    )
    where = {
        "compare": ["compare", f"--images={good.image}", f"--labels={good.mask}", "--config=c.yaml", "--out=o"],
        "reproduce": ["reproduce", "synthetic", "--config=c.yaml", "--out=o"],
    }
    assert main([*where[command], *([f"--losses={losses}"] if how == "a flag" else [])]) == 2
    assert re.search(r"--trust|write it as YAML|no loss '{mine", capsys.readouterr().err)
    assert not stranger.exists()
    assert not (away / "o").exists()


def test_trust_is_given_on_the_command_line(stranger, good, away, capsys):
    config = away / "c.yaml"
    config.write_text("loss: a_stranger.Loss\nsteps: 1\n")
    argv = ["fit", f"--config={config}", f"--images={good.image}", f"--labels={good.mask}", "--out=o"]
    main([*argv, "--trust"])  # one small image cannot be divided for validation, which is found after the loss is made
    assert stranger.exists()


@pytest.mark.parametrize(
    "loss",
    [
        None,
        "crispmap.DiceLoss",
        "torch.nn.BCEWithLogitsLoss",
        {"class_path": "segmentation_models_pytorch.losses.DiceLoss", "init_args": {"mode": "binary", "smooth": 0.1}},
        {"class_path": "crispmap.MixedLoss", "init_args": {"weight": {"class_path": "crispmap.RampWeight"}}},
    ],
)
def test_losses_of_known_libraries_pass(loss):
    check_loss(loss)
    check_settings({"loss": loss, "images": "a: [b]/c.tif", "losses": "bce,bce+iou", "data": {"window": 32}}, "it")
    check_settings({"losses": {"mine": loss}, "trainer": {"logger": False, "precision": "32-true"}}, "it")
    check_settings({"trainer.logger": None, "trainer": None}, "it")


@pytest.mark.parametrize(
    "name",
    ["os.system", "torch.hub.load", "torch.load", "torch.nn.parallel.distributed.os.system", "torch.nn.functional.relu"]
    + [f"{module}.x.y" for module in KNOWN],
)
def test_known_modules_lend_their_classes_only(name):
    with pytest.raises(SettingError, match="--trust"):
        check_loss(name)


def test_every_loss_that_there_is_passes():
    for name in crispmap.__all__:
        if name.endswith(("Loss", "Weight")):
            check_loss(f"crispmap.{name}")


def test_yaml_is_measured_before_it_is_made():
    small = "a: &a [1, 2]\nb: [*a, *a]\n"
    assert parse_yaml(small, "it") == yaml.safe_load(small)
    ten = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for old, new in zip("abcd", "bcde", strict=True):
        ten += f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n"
    with pytest.raises(InputError, match="100,000 values"):  # 11 + 111 + … is beyond that in the fifth line
        parse_yaml(ten, "it")
    assert len(parse_yaml("[" * 50 + "]" * 50, "it")) == 1
    with pytest.raises(InputError, match="50 in each other"):
        parse_yaml("[" * 51 + "]" * 51, "it")
    with pytest.raises(InputError, match="itself"):
        parse_yaml("&a [*a]", "it")


def test_a_large_yaml_is_not_read(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(InputError, match="1,048,576 bytes"):
        read_yaml(tmp_path / "a.yaml", "--config")


UNSAFE = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "pd.read_pickle", "torch.jit.load",
}  # fmt: skip
THE_PIPE = ("weight_search/__main__.py", "pickle.load")  # what a process of ours is told by the one that started it


@pytest.fixture(scope="module")
def calls():
    """Every call in the source: its file, its name with dots, and its keywords."""
    return [
        (
            path.relative_to(SOURCE).as_posix(),
            ast.unparse(node.func),
            {w.arg: ast.unparse(w.value) for w in node.keywords},
        )
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    ]


def test_nothing_in_the_source_runs_what_it_reads(calls):
    assert {(path, name) for path, name, _ in calls if name in UNSAFE} == {THE_PIPE}
    loads = [(path, words) for path, name, words in calls if name in ("torch.load", "np.load")]
    assert loads
    for path, words in loads:
        assert words.get("weights_only") == "True" or words.get("allow_pickle") == "False", path
    for path, name, words in calls:  # Lightning's own loading
        if name.endswith(".fit") and "ckpt_path" in words:
            assert words.get("weights_only") == "True", path
        assert words.get("shell") != "True", path


def test_nothing_in_the_source_unpacks_an_archive(calls):
    assert not [path for path, name, _ in calls if name.endswith((".extractall", ".extract", "unpack_archive"))]
