"""The recipes, and the plans that they become."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from crispmap.compare.plan import NAMED_LOSSES
from crispmap.errors import CrispmapError
from crispmap.reproduce.recipe import RECIPES, plans, recipe, recipe_text

OUT = Path("out")


def made(name, tmp_path, **changes):
    return plans(name, OUT, None if name == "synthetic" else tmp_path, changes)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_says_whether_the_paper_or_we_chose_it(name):
    blocks = recipe_text(name).split("\n\n")
    for block in blocks[1:]:  # after the title
        remark = ""
        for line in block.splitlines():
            if line.startswith("#"):
                remark += line
            elif re.match(r"\w+:", line):
                assert re.search(r"\b(paper|ours)\b", remark + line, re.IGNORECASE), line


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_the_baselines_of_the_paper_and_five_seeds(name, tmp_path):
    for plan in made(name, tmp_path).values():
        assert {"bce", "iou", "dice", "sensitivity-specificity", "paper", "balanced"} <= set(plan.loss_map)
        assert plan.reference_loss == "paper"
        assert plan.seed_list == [0, 1, 2, 3, 4]
        assert plan.loss_map["paper"] == NAMED_LOSSES["paper"]


def test_published_data_is_read_from_its_folder_and_split_as_published(tmp_path):
    for name, examined in (("aicd", "test"), ("potsdam", "test"), ("inria", None)):
        (plan,) = made(name, tmp_path).values()
        assert plan.images == tmp_path
        assert plan.out == OUT
        given = {"name": plan.dataset} if isinstance(plan.dataset, str) else plan.dataset
        assert given["name"] == name
        assert given.get("val_split") == examined


def test_synthetic_scenes_differ_in_their_labels_only(tmp_path):
    found = made("synthetic", tmp_path)
    assert list(found) == ["exact", "offset"]
    exact, offset = (plan.settings(plan.runs()[0]).plain() for plan in found.values())
    assert {key for key in exact if exact[key] != offset[key]} == {"labels", "out"}
    assert Path(exact["val_labels"]).name == Path(offset["val_labels"]).name == "masks"
    assert (Path(exact["labels"]).name, Path(offset["labels"]).name) == ("masks", "masks_offset")


def test_changes_replace_settings_and_single_ones_of_groups(tmp_path):
    (usual,) = made("inria", tmp_path).values()
    (plan,) = made("inria", tmp_path, steps=7, losses="bce", data={"window": 64}).values()
    assert (plan.steps, plan.data.window, plan.data.batch_size) == (7, 64, usual.data.batch_size)
    assert list(plan.loss_map) == ["bce"]
    assert plan.reference_loss == "bce"


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("nothing", {}, "no recipe 'nothing'"),
        ("inria", {"images": "elsewhere"}, "its own images"),
        ("inria", {"stepps": 3}, "stepps"),
        ("inria", {"steps": "many"}, "steps"),
        ("inria", {"scenes": {"train": {"scenes": 3}}}, "scenes"),
        ("synthetic", {"scenes": {"train": 3}}, "scenes cannot be {'train': 3}"),
        ("synthetic", {"scenes": 3}, "it has numbers by part and name (train: scenes, size, seed, label_offset; test:"),
        ("synthetic", {"scenes": {"train": {"scenes": "many"}}}, "scenes has numbers"),
        ("inria", {"data": {"windows": 64}}, "windows"),
        ("inria", {"losses": "bce,nonsense"}, "no loss 'nonsense'"),
    ],
)
def test_mistakes_are_named(tmp_path, name, changes, says):
    with pytest.raises(CrispmapError) as error:
        made(name, tmp_path, **changes)
    assert says in str(error.value)


def test_single_numbers_of_scenes_are_replaced():
    usual = recipe("synthetic")["scenes"]
    found = recipe("synthetic", {"scenes": {"train": {"scenes": 3}}})["scenes"]
    assert found == usual | {"train": usual["train"] | {"scenes": 3}}


def test_losses_by_class_path_stay_names(tmp_path):
    loss = {"class_path": "crispmap.BoundaryLoss", "init_args": {"theta": 9}}
    made = plans("synthetic", tmp_path, changes={"losses": {"mine": loss, "bce": "bce"}})
    assert made["exact"].loss_map["mine"].loss == loss
    assert made["offset"].loss_map["bce"].loss == "crispmap.BCELoss"


def test_planning_loads_no_torch():
    code = "import sys; import crispmap.cli.reproduce; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
