"""What importing costs, and that imports point downwards only."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import crispmap

SOURCE = Path(crispmap.__file__).parent
LAYERS = [  # from the top; what stands in one layer may import each other, but not in a circle
    {"__main__", "cli"},
    {"demo", "fit", "predict", "evaluate", "compare", "weight_search", "reproduce", "vectorize", "export"},
    {"report", "task", "callbacks", "checkpoints", "loggers", "misregistration"},
    {"data", "models", "networks", "model_spec", "pretrained"},
    {"losses", "metrics", "geo"},
    {"functional"},
    {"class_paths", "errors", "input_file", "progress", "run", "settings", "shortage", "whole"},
]
HEAVY = {
    "geopandas",
    "lightning",
    "pyogrio",
    "rasterio",
    "segmentation_models_pytorch",
    "timm",
    "torchmetrics",
    "torchvision",
}
FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path != SOURCE / "__init__.py"]


def imported_modules(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it; ``from a import b`` gives ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    inner = {name.split(".")[1] for name in imported_modules(path) if name.startswith("crispmap.")}
    return inner - {"__version__", room(path)}


def layer(name: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if name in layer]
    assert found, f"crispmap.{name} stands in no layer; give it one here and in docs/architecture.md"
    return found[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path):
    upwards = [name for name in rooms_imported(path) if layer(name) < layer(room(path))]
    assert not upwards, f"{path.relative_to(SOURCE)} imports from above: {upwards}"


def test_no_imports_in_a_circle():
    rooms: dict[str, set[str]] = {}
    for path in FILES:
        rooms.setdefault(room(path), set()).update(rooms_imported(path))
    TopologicalSorter(rooms).prepare()  # raises CycleError


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if room(path) == "geo" or path.relative_to(SOURCE).as_posix().startswith("data/synthetic")],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_geo_and_synthetic_scenes_are_numpy_only(path):
    assert not [name for name in imported_modules(path) if name.split(".")[0].startswith("torch")]


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in finished.stdout.split()}


def test_importing_crispmap_loads_nothing_heavy():
    assert not loaded_by("import crispmap") & (HEAVY | {"torch"})


def test_importing_a_loss_loads_torch_and_nothing_heavier():
    loaded = loaded_by("from crispmap import BoundaryLoss, MixedLoss")
    assert "torch" in loaded
    assert not loaded & HEAVY


def test_geo_loads_no_torch():
    modules = [f"crispmap.geo.{path.stem}" for path in FILES if room(path) == "geo" and path.stem != "__init__"]
    assert "torch" not in loaded_by(f"import {', '.join(['crispmap', *modules])}")


def test_every_public_name_is_there():
    assert set(crispmap.__all__) == set(dir(crispmap))
    assert all(getattr(crispmap, name) is not None for name in crispmap.__all__)
    with pytest.raises(AttributeError, match="no attribute 'BoundaryLost'"):
        _ = crispmap.BoundaryLost
