"""What a plan says is run."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from crispmap.compare import NAMED_LOSSES, Plan
from crispmap.errors import CrispmapError
from crispmap.fit import build_loss
from crispmap.losses import BCELoss, BoundaryLoss, MixedLoss
from crispmap.settings import NETWORKS, ModelSettings, OptimSettings


def plan(**changes) -> Plan:
    return Plan(**{"images": Path("i"), "labels": Path("l"), "out": Path("o")} | changes)


def test_every_loss_on_every_network_with_every_seed():
    runs = plan(losses="bce, paper", networks="resnet18,FPN/resnet34", seeds=[3, 1]).runs()
    assert [(run.seed, run.method.loss_name, run.method.network) for run in runs] == [
        (seed, loss, network)
        for seed in (3, 1)
        for network in ("Unet/resnet18", "FPN/resnet34")
        for loss in ("bce", "paper")
    ]
    assert len({run.folder for run in runs}) == len(runs)
    assert [method.name for method in plan(losses="bce,paper", networks="a,FPN/b").methods()] == [
        "bce · a", "paper · a", "bce · FPN/b", "paper · FPN/b"
    ]  # fmt: skip
    assert [method.name for method in plan(losses="bce").methods()] == ["bce"]


def test_networks_go_by_the_names_of_the_family_too():
    made = plan(losses="bce", networks="small,resnet34", model=ModelSettings(weights="imagenet", decoder_channels=[8]))
    first, second = (made.settings(run).model for run in made.runs()[:2])
    assert first == replace(NETWORKS["small"], weights="imagenet")
    assert second == ModelSettings("Unet", "resnet34", "imagenet", [8])
    assert [run.folder.parts[-3] for run in made.runs()[:2]] == ["small", "Unet-resnet34"]


def test_a_published_dataset_stands_in_for_labels():
    made = plan(labels=None, dataset={"name": "potsdam", "boundaries": False})
    assert made.settings(made.runs()[0]).dataset == {"name": "potsdam", "boundaries": False}
    with pytest.raises(CrispmapError, match="--labels is missing"):
        plan(labels=None)
    with pytest.raises(CrispmapError, match="--labels does not go with --dataset"):
        plan(dataset="inria")


def test_runs_differ_in_loss_and_seed_and_network_only():
    made = plan(losses="bce,dice", networks="resnet18,resnet34", seeds=2, scale=0.5, steps=77)
    settings = [made.settings(run).plain() for run in made.runs()]
    assert all(each["scale"] == 0.5 and each["steps"] == 77 for each in settings)
    first, second = settings[:2]
    assert {key for key in first if first[key] != second[key]} == {"loss", "out"}
    assert [each["seed"] for each in settings] == [0] * 4 + [1] * 4
    assert [each["model"]["encoder"] for each in settings[:4]] == ["resnet18", "resnet18", "resnet34", "resnet34"]


@pytest.mark.parametrize("name", NAMED_LOSSES)
def test_every_named_loss_can_be_trained_with(name):
    loss = build_loss(NAMED_LOSSES[name].loss)
    for part in loss.modules():
        if hasattr(part, "ignore_index"):
            part.ignore_index = 255
    assert any(hasattr(part, "ignore_index") for part in loss.modules())
    if isinstance(loss, MixedLoss):
        loss.set_progress(1.0)
    logits = torch.randn(2, 1, 16, 16, requires_grad=True)
    label = torch.zeros(2, 16, 16, dtype=torch.long)
    label[:, 4:10, 5:12] = 1
    label[0, 0] = 255
    loss(logits, label).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
    assert logits.grad[0, 0, 0].abs().max() == 0  # ignored


def test_paper_and_balanced_differ_in_the_boundary_term_and_bce_iou_lacks_it():
    paper, balanced, without = (build_loss(NAMED_LOSSES[name].loss) for name in ("paper", "balanced", "bce+iou"))
    assert paper.schedule == balanced.schedule == build_loss(None).schedule
    assert (paper.boundary.variant, balanced.boundary.variant) == ("paper", "balanced")
    assert repr(balanced) == repr(build_loss(None))  # what fit trains with
    assert [type(x.region) for x in (paper, balanced)] == [type(without.region)] * 2
    assert without.weight == 0


def test_losses_of_the_user_s_own(tmp_path):
    file = tmp_path / "losses.yaml"
    file.write_text(
        "plain: crispmap.BCELoss\nours: paper\nwide: {class_path: crispmap.BoundaryLoss, init_args: {theta: 9}}\n"
    )
    made = plan(losses=str(file), reference="wide")
    built = {name: build_loss(named.loss) for name, named in made.loss_map.items()}
    assert isinstance(built["plain"], BCELoss)
    assert built["ours"].boundary.variant == "paper"
    assert isinstance(built["wide"], BoundaryLoss)
    assert built["wide"].theta == 9
    assert made.loss_map["wide"].description == "crispmap.BoundaryLoss {'theta': 9}"
    assert made.reference_loss == "wide"
    assert plan(losses={"a": "bce", "b": "dice"}).reference_loss == "a"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"losses": "bce,nonsense"}, "no loss 'nonsense'; there are bce, iou"),
        ({"losses": "missing.yaml"}, "missing.yaml cannot be read"),
        ({"losses": {}}, "found none"),
        ({"losses": {"a/b": "bce"}}, "a/b"),
        ({"losses": {"..": "bce"}}, ".."),
        ({"losses": {"a": {"theta": 3}}}, "class_path"),
        ({"losses": {"a": 3}}, "class path"),
        ({"reference": "dice2"}, "dice2"),
        ({"networks": "a,a"}, "--networks"),
        ({"trainer": {"devices": 2}}, "--trainer.devices"),
        ({"networks": "a,,b"}, "--networks"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"seeds": []}, "--seeds"),
        ({"seeds": 10**12}, "--seeds is 1000000000000; it must give from 1 to 10000"),
        ({"seeds": list(range(10001))}, "it must give from 1 to 10000"),
        ({"losses": {1: "bce"}}, "[1]"),
        ({"seeds": [1, 1]}, "twice"),
        ({"seeds": [-1]}, "--seed is -1"),
        ({"steps": 0}, "--steps is 0"),
        ({"scale": 0.5, "resolution": 0.3}, "exclude each other"),
        ({"val_images": Path("v")}, "belong together"),
        ({"optim": OptimSettings(patience=3)}, "unequal"),
    ],
)
def test_mistakes_are_told(changes, says):
    with pytest.raises(CrispmapError, match=r".") as caught:
        plan(**changes)
    assert says in str(caught.value)


def test_a_file_that_is_no_mapping(tmp_path):
    (tmp_path / "l.yaml").write_text("- bce\n- dice\n")
    with pytest.raises(CrispmapError, match="for each loss's name"):
        plan(losses=str(tmp_path / "l.yaml"))


def test_a_plan_keeps_what_it_was_given():
    made = plan(model=ModelSettings(encoder="resnet34", decoder_channels=[8]))
    before = asdict(made)
    made.runs()
    made.settings(made.runs()[0])
    assert asdict(made) == before
    assert made.network_map == {"Unet/resnet34": made.model}


def test_planning_loads_no_torch():
    code = "import crispmap.cli.compare as c, sys; c.build_parser().format_help(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
