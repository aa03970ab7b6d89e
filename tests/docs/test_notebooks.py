"""The notebooks run, show figures and progress, and are kept without what they printed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from shown import ROOT

FOLDER = ROOT / "notebooks"
LESS = {  # than what each notebook's first cell says
    "mapper": {"SCENES": 3, "SIZE": 240, "STEPS": 4},
    "engineer": {"STEPS": 3},
    "researcher": {"SCENES": 3, "SIZE": 240, "STEPS": 2, "SEEDS": 2},
}
PICTURES = {"mapper": 4, "engineer": 2, "researcher": 1}


def parameters_of(notebook):
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


def run(name, folder):
    """Carries out a notebook with less of everything; gives it back with what it showed."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    cell = parameters_of(notebook)
    for parameter, value in LESS[name].items():
        cell.source, found = re.subn(rf"^{parameter} = \d+", f"{parameter} = {value}", cell.source, flags=re.MULTILINE)
        assert found == 1
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def shown(notebook, kind):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def test_there_is_one_for_each_user():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(LESS)


@pytest.mark.parametrize("name", LESS)
def test_it_is_kept_without_outputs(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        else:
            for target in re.findall(r"\]\(([^)#]+)\)", cell.source):
                assert (FOLDER / target).exists(), target


def test_the_engineers_runs(tmp_path):
    notebook = run("engineer", tmp_path)
    assert len(shown(notebook, "image/png")) == PICTURES["engineer"]
    said = "".join(output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output)
    moved, toothed = (
        re.search(rf"^{name} +IoU (\S+) .* ratio (\S+)$", said, re.MULTILINE) for name in ("moved", "toothed")
    )
    assert (moved[2], toothed[2]) == ("1.000", "1.286")  # 112 px around; 8 teeth of 2 × 2 px add 4 px each
    assert float(moved[1]) == pytest.approx(31 / 33, abs=1e-3)
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.long
def test_progress_is_shown_to_its_end():
    cell = nbformat.v4.new_code_cell(
        "from crispmap.progress import track\nfor _ in track(range(5), 'counting', 5):\n    print('between')"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=60).execute()
    widgets = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    ((last,),) = [widget["state"]["outputs"] for widget in widgets if widget["model_name"] == "OutputModel"]
    bar = re.sub(r"\x1b\[[\d;]*m", "", last["data"]["text/plain"])
    assert bar.startswith("counting ")
    assert "5/5" in bar
    assert "".join(output.text for output in cell.outputs if output.output_type == "stream") == "between\n" * 5


@pytest.mark.long
@pytest.mark.parametrize("name", ["mapper", "researcher"])
def test_it_runs(name, tmp_path):
    notebook = run(name, tmp_path)
    assert len(shown(notebook, "image/png")) == PICTURES[name]
    assert shown(notebook, "application/vnd.jupyter.widget-view+json")  # progress
