"""The experiment itself: scenes are made where they are wanted, and each plan is carried out."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crispmap.compare.comparing import compare
from crispmap.compare.plan import Plan
from crispmap.compare.results import Comparison
from crispmap.data.synthetic import write_scenes
from crispmap.errors import SettingError
from crispmap.whole import whole_file

log = logging.getLogger("crispmap")

_SCENES_FILE = "scenes.json"


def reproduce(plans: Mapping[str, Plan], command: str = "crispmap reproduce") -> dict[str, Comparison]:
    """Carries out the plans of a recipe; called again, it goes on where it stopped.

    Args:
        plans: Of `crispmap.reproduce.recipe.plans`; scenes that they need are there, see `make_scenes`.
        command: What the pages say was called.

    Raises:
        CrispmapError: If settings or data cannot work; the comparisons before stand.
    """
    found = {}
    for name, plan in plans.items():
        if len(plans) > 1:
            log.info("\n%s: %d runs in %s", name, len(plan.runs()), plan.out)
        found[name] = compare(plan, command=command)
    return found


def make_scenes(out: Path, scenes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the synthetic scenes of a recipe into ``out/scenes``, unless they are there.

    Args:
        out: The folder of the reproduction.
        scenes: For each part, arguments of `crispmap.data.synthetic.write_scenes`.

    Raises:
        SettingError: If other scenes are there.
    """
    folder = out / "scenes"
    description = json.dumps(scenes) + "\n"
    if (folder / _SCENES_FILE).exists():
        if (folder / _SCENES_FILE).read_text(encoding="utf-8") != description:
            raise SettingError(f"{folder} holds other scenes than these settings make; give another --out")
        return
    for part, how in scenes.items():
        log.info("making the scenes of %s", folder / part)
        write_scenes(folder / part, **how)
    with whole_file(folder / _SCENES_FILE) as path:
        path.write_text(description, encoding="utf-8")
