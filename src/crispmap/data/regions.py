"""From settings to ground: where training windows may lie, and what a network is validated on."""

import logging
from dataclasses import replace
from typing import Any

from crispmap.data.folder import check_alike, find_scenes, look_at_labels, network_scale
from crispmap.data.published import open_dataset
from crispmap.data.scene import Region, Scene
from crispmap.data.split import split_by_space
from crispmap.errors import InputError, SettingError
from crispmap.geo.raster import parse_nodata
from crispmap.settings import FitSettings

log = logging.getLogger("crispmap")


def find_regions(settings: FitSettings) -> tuple[list[Region], list[Region]]:
    """The ground for training and that for validation: named, or cut from each other by space.

    Raises:
        InputError: If the data cannot be used.
        PairingError: If images and labels do not belong together.
    """
    if settings.dataset is not None:
        return _published_regions(settings, settings.dataset)
    assert settings.labels is not None  # FitSettings sees to it
    how: dict[str, Any] = {
        "area": settings.area,
        "nodata": parse_nodata(settings.nodata),
        "scale": settings.scale,
        "resolution": settings.resolution,
    }
    scenes = find_scenes(settings.images, settings.labels, **how)
    if settings.val_images is None or settings.val_labels is None:
        return split_by_space(scenes, settings.data.window, settings.data.val_share)
    others = find_scenes(settings.val_images, settings.val_labels, **how)
    check_alike([scenes[0].image, others[0].image])
    return tuple([Region(s, s.image.window) for s in part] for part in (scenes, others))  # type: ignore[return-value]


def _published_regions(settings: FitSettings, dataset: str | dict[str, Any]) -> tuple[list[Region], list[Region]]:
    choices = {"name": dataset} if isinstance(dataset, str) else dict(dataset)
    if "name" not in choices:
        raise SettingError(f"--dataset is {dataset}; it is a name, or a name with choices: {{name: potsdam, …}}")
    if choices.get("classes") == "all":
        raise SettingError("networks of one class are trained; leave out --dataset's classes, or set it to building")
    found = open_dataset(choices.pop("name"), settings.images, **choices)
    for note in found.notes:
        log.info("%s", note)

    def regions(scenes: list[Scene]) -> list[Region]:
        brought = [
            replace(
                scene,
                scale=network_scale(scene.image, settings.scale, settings.resolution),
                nodata=scene.nodata if settings.nodata is None else parse_nodata(settings.nodata),
            )
            for scene in scenes
        ]
        look_at_labels(brought)
        return [Region(scene, scene.image.window) for scene in brought]

    train, val = regions(found.train), regions(found.val)
    if not any(len(region.anchors) for region in train) or not val:
        raise InputError(
            f"{found.root} holds nothing to learn from, or nothing to validate on; see crispmap check-data"
        )
    return train, val
