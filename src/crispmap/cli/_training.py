"""What the commands that train share: settings from parsed arguments."""

from typing import Any, TypeVar

from crispmap.cli._parsing import existing_path
from crispmap.compare.plan import Plan
from crispmap.settings import DataSettings, FitSettings, ModelSettings, OptimSettings

_GROUPS = {"data": DataSettings, "model": ModelSettings, "optim": OptimSettings}
_INPUTS = ("labels", "val_images", "val_labels", "area", "init")

Settings = TypeVar("Settings", FitSettings, Plan)


def settings_from(kind: type[Settings], given: dict[str, Any]) -> Settings:
    """Settings of a kind, their paths checked.

    Args:
        kind: Of settings.
        given: The arguments, those of groups in dictionaries of their own.

    Raises:
        InputError: If a path is not there.
        SettingError: If a setting cannot be.
    """
    settings = kind(**given | {name: group(**(given[name] or {})) for name, group in _GROUPS.items()})
    existing_path(settings.images, "images")
    for name in _INPUTS:
        if (path := getattr(settings, name, None)) is not None:
            existing_path(path, f"--{name.replace('_', '-')}")
    return settings
