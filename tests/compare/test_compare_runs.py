"""Runs: what they share, that they are not repeated, and that one that fails leaves the rest standing."""

import csv
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import crispmap.compare.comparing as comparing
import crispmap.compare.runner as runner
from crispmap.compare import Plan
from crispmap.compare.comparing import compare
from crispmap.compare.cost import loss_costs, median_step, step_ends
from crispmap.compare.measure import METRICS, tiles_of
from crispmap.compare.runner import carry_out, check_older, counts_of, model_of, state_of
from crispmap.data.regions import find_regions
from crispmap.data.scene import Region
from crispmap.errors import InputError, SettingError
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.settings import DataSettings, FitSettings, ModelSettings
from crispmap.task import SegmentationTask
from crispmap.whole import clear, whole_file

ENCODER = "timm-mobilenetv3_small_minimal_100"
CHANNELS = (8, 8, 8, 8, 8)


@pytest.fixture
def plan(tmp_path, bright_squares) -> Plan:
    """Two scenes of bright squares on dark ground, thin networks."""
    images, masks = bright_squares
    return Plan(
        images=images,
        labels=masks,
        out=tmp_path / "out",
        val_images=images,
        val_labels=masks,
        losses="bce,surface",
        seeds=2,
        steps=2,
        data=DataSettings(window=64, batch_size=2, workers=0),
        model=ModelSettings(encoder=ENCODER, decoder_channels=list(CHANNELS)),
        trainer={"precision": "32-true", "accelerator": "cpu"},
    )


class FakeTraining:
    """Leaves what `fit` leaves, with weights that follow from the seed and the loss, at once."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []
        self.broken: str | None = None
        self.ends_at: int | None = None

    def __call__(self, settings: FitSettings) -> None:
        loss = settings.out.parent.name
        self.made.append((loss, settings.seed))
        if loss == self.broken:
            raise RuntimeError("out of\nmemory")
        torch.manual_seed(settings.seed * 100 + len(loss))
        spec = ModelSpec("Unet", ENCODER, 3, "uint8", (90.0,) * 3, (60.0,) * 3, 64, CHANNELS)
        folder = settings.out / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        SegmentationModel(spec).save(folder / "last.ckpt")
        content = torch.load(folder / "last.ckpt", weights_only=True)
        torch.save(content | {"global_step": self.ends_at or settings.steps}, folder / "last.ckpt")
        with (settings.out / "metrics.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["step", "val/iou", "val/boundary_f1", "val/perimeter_ratio"])
            table.writerows([[0, 0.1, 0.2, 2.0], [1, 0.2, 0.3, 1.5]])


@pytest.fixture
def train() -> FakeTraining:
    return FakeTraining()


class TestPairing:
    @pytest.fixture
    def trained(self, plan, monkeypatch) -> dict[tuple[str, int], list[tuple]]:
        """First weights and batches of each loss and seed, as the training step of a real run sees them."""
        seen: dict[tuple[str, int], list[tuple]] = {}
        step = SegmentationTask.training_step

        def watched(task, batch, index):
            folder = task.trainer.default_root_dir.split("/")
            found = seen.setdefault((folder[-2], int(folder[-1].removeprefix("seed"))), [])
            weights = [p.detach().clone() for p in task.model.parameters()] if not found else []
            found.append((weights, batch["image"].clone(), batch["label"].clone()))
            return step(task, batch, index)

        monkeypatch.setattr(SegmentationTask, "training_step", watched)
        monkeypatch.setattr(comparing, "write_comparison_page", lambda *_: None)
        compare(plan)
        return seen

    def test_losses_of_a_seed_start_alike_and_see_the_same(self, trained):
        """Also where one of them makes the loader add distance maps; other seeds see something else."""
        assert len(trained) == 4
        for seed in (0, 1):
            one, two = trained["bce", seed], trained["surface", seed]
            assert len(one) == len(two) == 2
            assert all(torch.equal(a, b) for a, b in zip(one[0][0], two[0][0], strict=True))
            for first, second in zip(one, two, strict=True):
                assert torch.equal(first[1], second[1])
                assert torch.equal(first[2], second[2])
        assert not torch.equal(trained["bce", 0][0][1], trained["bce", 1][0][1])
        assert not all(torch.equal(a, b) for a, b in zip(trained["bce", 0][0][0], trained["bce", 1][0][0], strict=True))


@pytest.mark.usefixtures("plain_network")
class TestResuming:
    def test_finished_runs_are_not_repeated_and_new_ones_are_added(self, plan, train, caplog):
        caplog.set_level(logging.INFO, "crispmap")
        first = compare(plan, train=train)
        assert train.made == [("bce", 0), ("surface", 0), ("bce", 1), ("surface", 1)]
        again = compare(plan, train=train)
        assert len(train.made) == 4
        assert "4 of 4 runs are finished already" in caplog.text
        assert again.differences == first.differences
        more = replace(plan, losses="bce,surface,dice", seeds=3)
        compare(more, train=train)
        assert train.made[4:] == [("dice", 0), ("dice", 1), ("bce", 2), ("surface", 2), ("dice", 2)]

    def test_what_was_interrupted_begins_anew(self, plan, train):
        def interrupted(settings: FitSettings) -> None:
            train(settings)
            if len(train.made) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(plan, train=interrupted)
        assert state_of(plan.runs()[1]) is None
        compare(plan, train=train)
        assert train.made == [("bce", 0), ("surface", 0), ("surface", 0), ("bce", 1), ("surface", 1)]

    @pytest.mark.parametrize(
        ("file", "lost", "trained"),
        [
            ("last.pt", "", [0, 1]),
            ("run.json", "", [0, 1]),
            ("counts.json", "", [0, 1]),
            ("last.pt", "metrics.csv", [0, 1, 0, 1]),
        ],
    )
    def test_what_was_trained_to_its_end_is_not_trained_again(self, plan, monkeypatch, file, lost, trained):
        """Whatever file it was stopped at that a run is written down by; unless its curves are lost.

        It is trained for real: by what `fit` leaves a run is known to have ended.
        """
        steps: list[int] = []
        step = SegmentationTask.training_step
        monkeypatch.setattr(SegmentationTask, "training_step", lambda *a: (steps.append(a[0].global_step), step(*a))[1])
        monkeypatch.setattr(comparing, "write_comparison_page", lambda *_: None)
        plan = replace(plan, losses="bce", seeds=1)

        def stopped(path: Path):
            if path.name == file:
                raise KeyboardInterrupt
            return whole_file(path)

        monkeypatch.setattr(runner, "whole_file", stopped)
        with pytest.raises(KeyboardInterrupt):
            compare(plan)
        monkeypatch.setattr(runner, "whole_file", whole_file)
        clear(plan.runs()[0].folder, [lost] if lost else [])
        found = compare(plan)
        assert steps == trained
        assert not list(plan.out.rglob("checkpoints"))
        undisturbed = compare(replace(plan, out=plan.out.parent / "undisturbed"))
        np.testing.assert_equal(found.counts, undisturbed.counts)

    def test_what_a_failing_disk_has_torn_is_made_again(self, plan, train):
        plan = replace(plan, seeds=1)
        undisturbed = compare(plan, train=train)
        state, counts = (plan.runs()[i].folder / name for i, name in enumerate(("run.json", "counts.json")))
        for path in (state, counts, plan.out / "cost.json"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert compare(plan, train=train).differences == undisturbed.differences
        assert train.made == [("bce", 0), ("surface", 0), ("bce", 0)]

    @pytest.mark.parametrize(
        ("file", "content", "made"),
        [
            ("run.json", {"evil": 1}, 2),
            ("run.json", {"settings": 5, "finished": True}, 2),
            ("run.json", {"settings": {}, "finished": True, "curves": [3]}, 2),
            ("counts.json", {"tiles": ["s0", "s1"], "counts": 5}, 1),
            ("counts.json", {"tiles": ["s0", "s1"], "counts": {"hits": ["many", {}]}}, 1),
        ],
    )
    def test_what_another_wrote_is_made_again(self, plan, train, file, content, made):
        plan = replace(plan, losses="bce", seeds=1)
        (run,) = plan.runs()
        tiles = tiles_of(find_regions(plan.settings(run))[1])
        carry_out(plan, tiles, train)
        undisturbed = counts_of(run)
        (run.folder / file).write_text(json.dumps(content))
        carry_out(plan, tiles, train)
        np.testing.assert_equal(counts_of(run), undisturbed)
        assert len(train.made) == made

    def test_a_table_that_lost_rows_costs_no_more_than_these(self, plan, train):
        plan = replace(plan, losses="bce")
        compare(plan, train=train)
        path = plan.runs()[0].folder / "run.json"
        state = json.loads(path.read_text())
        state |= {"steps": state["steps"][:1], "curves": {key: row[:1] for key, row in state["curves"].items()}}
        path.write_text(json.dumps(state))
        (plan.out / "cost.json").write_text('{"bce": {"price": 7}}')  # of another's, at that
        compare(plan, train=train)
        written = json.loads((plan.out / "results.json").read_text())["methods"][0]
        assert {seed: curve["iou"] for seed, curve in written["curves"].items()} == {"0": [0.1], "1": [0.1, 0.2]}
        assert written["loss_alone"]["ms"] > 0

    def test_other_settings_in_the_same_folder_are_refused(self, plan, train, monkeypatch):
        compare(plan, train=train)
        with pytest.raises(SettingError, match=r"seed0 holds a finished run with steps 2, but 3 is asked for"):
            compare(replace(plan, steps=3), train=train)
        with pytest.raises(SettingError, match=r"with loss crispmap\.BCELoss, but crispmap\.DiceLoss"):
            compare(replace(plan, losses={"bce": "dice"}), train=train)
        assert len(train.made) == 4
        monkeypatch.chdir(plan.images.parent)
        check_older(replace(plan, images=Path("images"), val_images=Path("masks/../images")))
        check_older(replace(plan, data=replace(plan.data, workers=3)))  # which changes nothing

    def test_a_run_of_a_setting_that_is_not_known_is_refused(self, plan, train):
        plan = replace(plan, losses="bce", seeds=1)
        carry_out(plan, tiles_of(find_regions(plan.settings(plan.runs()[0]))[1]), train)
        path = plan.runs()[0].folder / "run.json"
        state = json.loads(path.read_text())
        path.write_text(json.dumps(state | {"settings": state["settings"] | {"later": 1}}))
        with pytest.raises(SettingError, match="with later 1, but None is asked for"):
            check_older(plan)

    def test_other_tiles_are_counted_anew_without_training(self, plan, train):
        compare(plan, train=train)
        learn, examined = find_regions(plan.settings(plan.runs()[0]))
        found = compare(plan, ground=(learn, examined[:1]), train=train)
        assert len(train.made) == 4
        assert found.tiles == ["s0"]
        assert all(len(c["hits"]) == 1 for runs in found.counts.values() for c in runs.values())


@pytest.mark.usefixtures("plain_network")
class TestFailing:
    def test_the_rest_stands_and_the_failed_one_is_tried_again(self, plan, train, caplog):
        train.broken = "surface"
        found = compare(replace(plan, losses="bce,surface,dice"), train=train)
        assert [(f.method, f.seed, f.error) for f in found.failures] == [
            ("surface", 0, "out of memory"), ("surface", 1, "out of memory")
        ]  # fmt: skip
        assert {method.name for method in found.methods} == {"bce", "dice"}
        assert "surface, seed 0 failed: out of memory" in caplog.text
        assert "RuntimeError" in state_of(plan.runs()[1]).trace
        page = (plan.out / "report.html").read_text()
        assert "surface, seed 1" in page
        train.broken, train.made = None, []
        found = compare(replace(plan, losses="bce,surface,dice"), train=train)
        assert train.made == [("surface", 0), ("surface", 1)]
        assert not found.failures
        assert {row.method for row in found.differences} == {"surface", "dice"}

    def test_a_failed_reference_leaves_a_ranking(self, plan, train):
        train.broken = "bce"
        found = compare(replace(plan, losses="bce,surface,dice"), train=train)
        assert found.differences == []
        assert "Differences to" not in (plan.out / "report.html").read_text()

    def test_steps_must_be_equal(self, plan, train):
        train.ends_at = 1
        with pytest.raises(SettingError, match=r"none of 4 runs ended well; .* step 1 of 2"):
            compare(plan, train=train)
        assert not (plan.out / "report.html").exists()

    def test_mistakes_are_found_before_anything_is_trained(self, plan, train):
        with pytest.raises(SettingError, match="the loss 'x': "):
            compare(replace(plan, losses={"x": "crispmap.NoLoss"}), train=train)
        with pytest.raises(SettingError, match="max_steps"):
            compare(replace(plan, trainer={"max_steps": 3}), train=train)
        with pytest.raises(InputError):
            compare(replace(plan, val_labels=plan.out), train=train)
        assert train.made == []
        assert not plan.out.exists()

    def test_counting_that_fails_costs_no_training(self, plan, train, monkeypatch):
        import crispmap.compare.runner as runner

        whole = runner.count
        monkeypatch.setattr(runner, "count", lambda seen: 1 / 0)
        with pytest.raises(SettingError, match="division by zero"):
            compare(plan, train=train)
        assert state_of(plan.runs()[0]).error
        monkeypatch.setattr(runner, "count", whole)
        assert not compare(plan, train=train).failures
        assert len(train.made) == 4
        assert not any(state_of(run).error or state_of(run).trace for run in plan.runs())


@pytest.mark.usefixtures("plain_network")
class TestWhatIsWritten:
    def test_numbers(self, plan, train):
        found = compare(plan, train=train, command="crispmap compare …")
        written = json.loads((plan.out / "results.json").read_text(), parse_constant=lambda name: pytest.fail(name))
        assert written["command"] == "crispmap compare …"
        assert written["tiles"] == ["s0", "s1"]
        assert written["reference"] == "bce"
        assert "paired t test" in written["test"]
        assert "Holm" in written["test"]
        assert written["plan"]["images"] == str(plan.images)
        assert [method["name"] for method in written["methods"]] == [method.name for method in found.methods]
        ranked = [method["scores"]["boundary_f1_2px"]["mean"] for method in written["methods"]]
        assert ranked == sorted(ranked, reverse=True)
        by_name = {method["name"]: method for method in written["methods"]}
        for row in written["differences"]:
            if row["metric"] == "perimeter_ratio":
                continue
            one, other = (by_name[row[key]]["scores"][row["metric"]]["by_seed"] for key in ("method", "reference"))
            assert row["over_seeds"]["mean"] == pytest.approx(np.mean(np.subtract(one, other)))
        assert by_name["bce"]["curves"]["1"]["iou"] == [0.1, 0.2]
        assert by_name["bce"]["step_ms"] is None  # nothing was really trained
        assert by_name["surface"]["loss_alone"]["ms"] > 0

    def test_methods_are_held_against_the_reference_on_their_own_network(self, plan, train):
        found = compare(replace(plan, losses="bce,dice", networks=f"{ENCODER},FPN/{ENCODER}"), train=train)
        assert len(train.made) == 8
        assert {(row.method, row.reference) for row in found.differences} == {
            (f"dice · {network}", f"bce · {network}") for network in (ENCODER, f"FPN/{ENCODER}")
        }
        assert "FPN/" in (plan.out / "report.html").read_text()

    def test_the_page_says_where_it_is_thin(self, plan, train):
        compare(plan, train=train)
        page = (plan.out / "report.html").read_text()
        assert "Some methods have 2 finished runs" in page
        assert "There are 2 tiles" in page
        assert "No validation imagery was given" not in page
        assert "times as long as the true ones" in page  # what an untrained network draws

    def test_tables(self, plan, train):
        compare(plan, train=train)
        lines = (plan.out / "results.md").read_text().splitlines()
        heads = [line for line in lines if line.startswith("| method")]
        assert len(heads) == 3
        assert all(metric.label in heads[0] for metric in METRICS)
        widths = {len(line.split("|")) for line in lines if line.startswith("|")}
        assert widths == {len(METRICS) + 4, 7}
        assert any(line.startswith("| surface − bce | 2 |") for line in lines)

    def test_the_last_weights_are_examined_and_kept(self, plan, train):
        compare(plan, train=train)
        run = plan.runs()[0]
        assert not (run.folder / "checkpoints").exists()
        last = model_of(run).cpu()
        torch.manual_seed(3)  # seed 0, a name of three letters
        expected, kept = SegmentationModel(last.spec).state_dict(), last.state_dict()
        assert all(torch.equal(kept[name], expected[name]) for name in kept)


class TestCost:
    def test_steps_are_timed_while_the_block_runs(self):
        weight = torch.nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([weight])
        with step_ends() as ends:
            for _ in range(3):
                optimizer.step()
        optimizer.step()
        assert len(ends) == 3
        assert ends == sorted(ends)

    def test_the_median_step(self):
        assert median_step([0.0, 0.1, 0.3, 9.0, 9.2]) == pytest.approx(200)
        assert median_step([1.0]) is None

    def test_of_a_loss_alone(self, plan, train):
        train(plan.settings(plan.runs()[0]))
        learn: list[Region] = find_regions(plan.settings(plan.runs()[0]))[0]
        (plan.runs()[0].folder / "checkpoints" / "last.ckpt").rename(plan.runs()[0].folder / "last.pt")
        losses = {name: named.loss for name, named in replace(plan, losses="bce,surface,balanced").loss_map.items()}
        costs = loss_costs(losses, model_of(plan.runs()[0]), learn, window=64, batch_size=3)
        assert set(costs) == {"bce", "surface", "balanced"}
        assert all(cost.ms > 0 for cost in costs.values())
        a_map = 3 * 64 * 64 * 4
        assert a_map <= costs["bce"].kept_bytes <= 12 * a_map
        assert costs["balanced"].kept_bytes > costs["bce"].kept_bytes  # it holds a BCE of the same kind
