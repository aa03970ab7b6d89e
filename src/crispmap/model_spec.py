"""What a model file says of its network, and what of that is believed."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crispmap.errors import InputError
from crispmap.geo.raster import MOST_BANDS, Raster
from crispmap.settings import LARGEST_WINDOW, RESOLUTIONS, SCALES, WIDEST

_SAME_GROUND = 0.1  # by how much two ground resolutions may differ that count as the same
# what a file may ask for, beside what `fit` may be asked for
_MOST_CLASSES, _LONGEST_NAME = 2**10, 200
_LENGTHS = {"scale": SCALES, "resolution": RESOLUTIONS, "trained_resolution": RESOLUTIONS}
_MOST_VALUES, _DEEPEST = 10**5, 50  # in the record of a training


@dataclass(frozen=True)
class ModelSpec:
    """What a network is and what it expects; written beside its weights.

    Attributes:
        architecture: A class of segmentation_models_pytorch, such as Unet or DeepLabV3Plus.
        encoder: An encoder by the name that library gives it.
        decoder_channels: Widths of the decoder's stages; the library's default where empty.
        bands: How many bands an image has.
        dtype: The type of the imagery it was trained on.
        mean: Per band, measured on the training imagery.
        std: Per band.
        classes: What the output channels mark.
        scale: Imagery is brought to this share of its own pixels a side before the network sees it.
        resolution: Instead of `scale`: metres a pixel that the network sees.
        trained_resolution: Metres a pixel that it saw in training, where that is known.
        window: The side of its training windows, in pixels that it sees.
        training: Settings, validation metrics and versions of its run.
    """

    architecture: str
    encoder: str
    bands: int
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    window: int
    decoder_channels: tuple[int, ...] = ()
    classes: tuple[str, ...] = ("building",)
    scale: float = 1.0
    resolution: float | None = None
    trained_resolution: float | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def scale_of(self, raster: Raster) -> float:
        """The share of its own pixels a side to which a raster is brought for this network.

        *Convention.* A network trained at a ground resolution sees every raster at that. One trained at a scale sees
        rasters at that scale, unless their ground resolution and that of its training are both known and it would see
        their pixels more than a tenth larger or smaller than those it was trained on: then they are brought to these.

        Raises:
            InputError: If the network wants a ground resolution and the raster's is not known.
        """
        if self.resolution is None:
            if raster.resolution is None or self.trained_resolution is None:
                return self.scale
            wanted = raster.resolution / self.trained_resolution
            return self.scale if abs(wanted / self.scale - 1) <= _SAME_GROUND else wanted
        if raster.resolution is None:
            raise InputError(
                f"{raster.path} has no CRS, so its ground resolution is unknown, but the model works at "
                f"{self.resolution:g} m; assign a CRS to the image"
            )
        return raster.resolution / self.resolution


def check_spec(spec: ModelSpec) -> None:
    """Checks what a file says of its model: its writer may have written anything.

    *Convention.* What is recorded of the training is plain, as JSON has it, and of the form in which `fit` writes it,
    so that pages, cards and catalogues can show it; of its numbers only the step of the metrics must be finite.

    Raises:
        OverflowError: If a number is too large to be one.
        TypeError: If a value is of another type than it must be.
        ValueError: If it cannot be.
    """
    for name, most in (("bands", MOST_BANDS), ("window", LARGEST_WINDOW)):
        value = getattr(spec, name)
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"its {name} cannot be {str(value)[:60]}")
    if not all(type(width) is int and 1 <= width <= WIDEST for width in spec.decoder_channels):
        raise ValueError(f"its decoder_channels cannot be {str(spec.decoder_channels)[:60]}")
    if len(spec.mean) != spec.bands or len(spec.std) != spec.bands:
        raise ValueError(f"its mean and std do not have {spec.bands} values, one a band")
    if not all(map(math.isfinite, (*spec.mean, *spec.std))) or min(spec.std) <= 0:
        raise ValueError("its mean and std are not all finite, and the latter above 0")
    for name, (shortest, longest) in _LENGTHS.items():
        length = getattr(spec, name)
        known = length is not None or name == "scale"
        if known and not (isinstance(length, int | float) and shortest <= length <= longest):
            raise ValueError(f"its {name} cannot be {str(length)[:60]}; it is from {shortest:g} to {longest:g}")
    names = all(isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_NAME for name in spec.classes)
    if not 1 <= len(spec.classes) <= _MOST_CLASSES or not names:
        raise ValueError(f"its classes cannot be {str(spec.classes)[:60]}")
    if not all(isinstance(name, str) for name in (spec.architecture, spec.encoder, spec.dtype)):
        raise TypeError("its architecture, encoder and dtype are not all names")
    if np.dtype(spec.dtype).kind not in "uif":
        raise ValueError(f"its dtype cannot be {spec.dtype!r}")
    _check_plain([spec.training, *spec.classes, spec.architecture, spec.encoder])
    _check_record(spec.training)


def _check_plain(record: Any) -> None:
    """Checks that values are those of JSON, which every page, card and catalogue can show, and not too many.

    *Convention.* Values are counted as often as they are reached: a pickle may hold one list in a thousand places, or
    in itself.
    """
    waiting, count = [(record, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise ValueError(f"its training has more than {_MOST_VALUES:,} values, or {_DEEPEST} in each other")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for item in value.items() for each in item]
            if not all(isinstance(name, str) for name in value):
                raise TypeError("its training has names that are no text")
        elif isinstance(value, list | tuple):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, str):
            value.encode()  # which halves of surrogate pairs cannot
        elif isinstance(value, int) and not isinstance(value, bool):
            float(value)
        elif not isinstance(value, float | bool | None):
            raise TypeError(f"its training holds a {type(value).__name__}")


def _check_record(training: Any) -> None:
    """Checks the form of what is recorded of a training, as far as anything is."""
    parts = {"training": training, **_within(training, "settings", "metrics", "versions", "search")}
    settings = parts.get("settings")
    parts |= _within(settings, "data", "model", "optim", "trainer") | _within(parts.get("search"), "policy")
    for name, value in parts.items():
        if not isinstance(value, dict):
            raise TypeError(f"its {name} is no mapping")
    if settings and not isinstance(settings.get("init"), str | None):
        raise TypeError("its settings.init is no path")
    metrics, path = parts.get("metrics"), parts.get("search", {}).get("path", [])
    if metrics and not math.isfinite(metrics.get("step", math.nan)):
        raise ValueError("its metrics are of no step")
    if not isinstance(path, list) or not all(isinstance(stage, dict) for stage in path):
        raise TypeError("its search.path is no list of stages")


def _within(record: Any, *names: str) -> dict[str, Any]:
    """Parts of a run's record, as far as it has them."""
    return {name: record[name] for name in names if name in record} if isinstance(record, dict) else {}
