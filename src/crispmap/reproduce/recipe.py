"""What is repeated: the recipes, and the plans of comparison that they become.

Free of torch, so that ``--help`` is.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from crispmap.compare.plan import Plan
from crispmap.errors import CrispmapError, InputError, SettingError, one_line
from crispmap.settings import DataSettings, ModelSettings, OptimSettings

RECIPES = {
    "aicd": "rendered aerial scenes, the paper's synthetic set",
    "potsdam": "ISPRS Potsdam, buildings against the rest",
    "inria": "INRIA Aerial Image Labeling, buildings of ten cities",
    "synthetic": "scenes made here, with exact labels and with labels that lie off; needs no data",
}
_GROUPS = {"data": DataSettings, "model": ModelSettings, "optim": OptimSettings}
LABELS = {"exact": "masks", "offset": "masks_offset"}  # of the synthetic scenes, to learn from


def recipe_text(name: str) -> str:
    """The YAML file of a recipe, with its remarks on what the paper states and what was chosen here.

    Raises:
        SettingError: If there is none of that name.
    """
    if name not in RECIPES:
        raise SettingError(f"no recipe '{name}'; there are {', '.join(RECIPES)}")
    return (files("crispmap.reproduce") / f"{name}.yaml").read_text(encoding="utf-8")


def recipe(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of a recipe.

    Args:
        name: A key of `RECIPES`.
        changes: Settings that replace those of the recipe; of one that holds others, such as ``data``, single ones.
            With other losses, the first of them is the reference if none is named.

    Raises:
        SettingError: If there is no such recipe, or a change would make it another experiment's.
    """
    found: dict[str, Any] = yaml.safe_load(recipe_text(name))
    if "losses" in (changes or {}):
        found.pop("reference")
    for key, value in (changes or {}).items():
        if key in ("images", "labels", "val_images", "val_labels", "area", "out"):
            raise SettingError(f"a recipe has its own {key}; use crispmap compare to choose it")
        if key == "scenes":
            value = _scenes(value, found[key]) if key in found else value
        whole = not (isinstance(value, Mapping) and isinstance(found.get(key), Mapping))
        found[key] = value if whole else found[key] | dict(value)
    return found


def _scenes(changes: Any, known: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What scenes are made of, part by part, with some of the numbers replaced."""
    parts = changes if isinstance(changes, Mapping) else {"": None}
    for part, how in parts.items():
        if part not in known or not isinstance(how, Mapping) or set(how) - set(known[part]):
            known_names = "; ".join(f"{part}: {', '.join(numbers)}" for part, numbers in known.items())
            raise SettingError(f"scenes cannot be {changes}; it has numbers by part and name ({known_names})")
        if not all(map(_is_number, how.values())):
            raise SettingError(f"scenes has numbers, which {how} of {part} are not")
    return {part: dict(how) | dict(parts.get(part) or {}) for part, how in known.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plans(name: str, out: Path, data: Path | None = None, changes: Mapping[str, Any] | None = None) -> dict[str, Plan]:
    """The comparisons that repeat an experiment, by name: one for a published data set, two for synthetic scenes.

    Args:
        name: A key of `RECIPES`.
        out: The folder of everything.
        data: The data set's folder, or the one around it; the synthetic scenes need none.
        changes: As `recipe` takes them.

    Raises:
        SettingError: If a setting cannot be, or ``data`` is missing or too much.
        InputError: If ``data`` is not there.
    """
    settings = recipe(name, changes)
    if name != "synthetic":
        if data is None:
            raise SettingError(
                f"--data is missing: the folder of {RECIPES[name]} (docs/datasets.md says how to get it)"
            )
        if not data.exists():
            raise InputError(f"--data not found: {data}")
        return {name: _plan(settings | {"images": data, "out": out})}
    if data is not None:
        raise SettingError("--data is not for synthetic scenes, which are made in --out")
    settings.pop("scenes")
    train, test = out / "scenes" / "train", out / "scenes" / "test"
    paths = {"images": train / "images", "val_images": test / "images", "val_labels": test / "masks"}
    return {
        kind: _plan(settings | paths | {"labels": train / folder, "out": out / kind}) for kind, folder in LABELS.items()
    }


def _plan(settings: Mapping[str, Any]) -> Plan:
    """Settings as they stand in YAML, checked by their types; losses stay names, of which no class is imported here."""
    losses = settings["losses"]
    if not isinstance(losses, str | Mapping | None):
        raise SettingError(f"losses is {str(losses)[:60]}; give names, a YAML file, or a class path for each name")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Plan, None, skip={"losses"})
    plain = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items() if key != "losses"
    }
    try:
        given = parser.parse_object(plain).as_dict() | {"losses": losses}
        return Plan(**given | {name: group(**(given[name] or {})) for name, group in _GROUPS.items()})
    except CrispmapError:
        raise
    except Exception as error:  # whatever jsonargparse makes of an unknown key or a wrong type
        raise SettingError(one_line(error)) from error
