"""What `crispmap fit` can be told, as plain dataclasses: the command line and YAML files are made from them.

Free of torch, so that ``--help`` is.
"""

from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from crispmap.errors import SettingError

LARGEST_WINDOW = 2**14
WIDEST = 2**11  # of a decoder's stages
SCALES = (0.01, 4)
RESOLUTIONS = (0.001, 1000)  # in metres a pixel


def check_nulls(settings: Any, group: str = "") -> None:
    """Checks that no setting is null, as a YAML file may have it, that must have a value.

    Args:
        settings: Of a dataclass, whose types say which may be None.
        group: What stands before the names of its flags, such as ``data.``.

    Raises:
        SettingError: If one is.
    """
    for each in fields(settings):
        if getattr(settings, each.name) is None and type(None) not in get_args(each.type):
            raise SettingError(f"--{group}{each.name} is null; give a value, or leave it out")


def _at_least(flag: str, value: int, least: int) -> None:
    if value < least:
        raise SettingError(f"{flag} is {value}; it must be at least {least}")


def _within(flag: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise SettingError(f"{flag} is {value}; it must be from {least} to {most}")


@dataclass
class DataSettings:
    """How samples are taken.

    Attributes:
        window: Side of a training window, in pixels that the network sees.
        batch_size: Windows a step, on each device.
        class_share: The share of training windows placed so that they contain the class; the others fall anywhere.
        val_share: The share of the class kept for validation when no validation images are given.
        val_windows: At most so many validation windows.
        photometric: Whether training windows are shown in varied light.
        workers: Loader processes; by default one a core but one, at most eight.
    """

    window: int = 256
    batch_size: int = 8
    class_share: float = 0.75
    val_share: float = 0.2
    val_windows: int = 200
    photometric: bool = True
    workers: int | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_nulls(self, "data.")
        _within("--data.window", self.window, 32, LARGEST_WINDOW)
        _within("--data.batch_size", self.batch_size, 1, 2**14)
        _within("--data.val_windows", self.val_windows, 1, 10**6)
        _within("--data.class_share", self.class_share, 0, 1)
        _within("--data.val_share", self.val_share, 0.01, 0.9)
        if self.workers is not None:
            _within("--data.workers", self.workers, 0, 1024)


@dataclass
class ModelSettings:
    """Which network is trained.

    Attributes:
        architecture: A class of segmentation_models_pytorch: Unet, UnetPlusPlus, MAnet, FPN, DeepLabV3Plus, …
        encoder: An encoder by the name that library gives it.
        weights: Pretrained encoder weights, "imagenet" for most encoders; they are downloaded once. Worth having.
        decoder_channels: Widths of the decoder's stages; [] for the library's own.
    """

    architecture: str = "Unet"
    encoder: str = "resnet18"
    weights: str | None = None
    decoder_channels: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Checks that all is there, and the ranges."""
        check_nulls(self, "model.")
        for width in self.decoder_channels:
            _within("--model.decoder_channels", width, 1, WIDEST)


# The family behind `--network`: names for what is worth trying, each a different trade of quality for time.
NETWORKS = {
    "small": ModelSettings("Unet", "tu-resnet10t", decoder_channels=[128, 64, 32, 24, 16]),
    "unet-resnet18": ModelSettings("Unet", "resnet18"),
    "unet-resnet34": ModelSettings("Unet", "resnet34"),
    "unet-resnet50": ModelSettings("Unet", "resnet50"),
    "unet-vgg16": ModelSettings("Unet", "vgg16_bn"),
    "unet-densenet121": ModelSettings("Unet", "densenet121"),
    "unet-inceptionresnetv2": ModelSettings("Unet", "inceptionresnetv2"),
    "unet-efficientnet-b3": ModelSettings("Unet", "efficientnet-b3"),
    "unetplusplus-resnet34": ModelSettings("UnetPlusPlus", "resnet34"),
    "manet-resnet34": ModelSettings("MAnet", "resnet34"),
    "segformer-b2": ModelSettings("Segformer", "mit_b2"),
    "upernet-convnext-tiny": ModelSettings("UPerNet", "tu-convnext_tiny"),
}


def network(name: str) -> ModelSettings:
    """The settings of a network of the family, to be trained from scratch.

    Args:
        name: Such as "small" or "unet-vgg16"; a key of `NETWORKS`.

    Returns:
        Settings of one's own, free to be changed.

    Raises:
        SettingError: If there is no network of that name.
    """
    if name not in NETWORKS:
        raise SettingError(f"no network '{name}'; there are {', '.join(NETWORKS)} (see crispmap networks)")
    return deepcopy(NETWORKS[name])


@dataclass
class OptimSettings:
    """How the weights are moved.

    Attributes:
        learning_rate: The highest of the cycle.
        weight_decay: Of AdamW.
        patience: Stop early after so many validations without a better IoU; never if null.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    patience: int | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_nulls(self, "optim.")
        _within("--optim.learning_rate", self.learning_rate, 1e-8, 10)
        _within("--optim.weight_decay", self.weight_decay, 0, 10)
        if self.patience is not None:
            _at_least("--optim.patience", self.patience, 1)


@dataclass(kw_only=True)
class GroundSettings:
    """Imagery with labels, and the folder of what is learnt from it.

    Attributes:
        images: A raster or a folder of rasters to learn from; with `dataset`, that data set's folder.
        out: The folder to make.
        labels: A mask or a folder of masks, or vectors (GeoPackage, GeoJSON, Shapefile, FlatGeobuf,
            GeoParquet).
        dataset: A published data set instead of labels: aicd, inria or potsdam, or its name with its choices, such as
            {name: potsdam, boundaries: false}. docs/datasets.md lists them.
        val_images: Images to validate on; without them a part of the ground is kept for that.
        val_labels: Their labels.
        area: Polygons inside which the labels are complete; pixels outside are ignored.
        nodata: "none", or a value that replaces what the images declare.
        scale: Train on imagery reduced to this share of its pixels a side.
        resolution: Instead of scale: the metres a pixel to which imagery is brought.
    """

    images: Path
    out: Path
    labels: Path | None = None
    dataset: str | dict[str, Any] | None = None
    val_images: Path | None = None
    val_labels: Path | None = None
    area: Path | None = None
    nodata: str | float | None = None
    scale: float = 1.0
    resolution: float | None = None

    def __post_init__(self) -> None:
        """Checks that all is there, the ranges and what excludes what."""
        check_nulls(self)
        _within("--scale", self.scale, *SCALES)
        if self.resolution is not None:
            _within("--resolution", self.resolution, *RESOLUTIONS)
            if self.scale != 1.0:
                raise SettingError("--scale and --resolution exclude each other; give one of them")
        if self.dataset is None and self.labels is None:
            raise SettingError("--labels is missing: give masks or polygons, or --dataset with a published data set")
        for name in ("labels", "val_images", "val_labels", "area"):
            if self.dataset is not None and getattr(self, name) is not None:
                raise SettingError(f"--{name.replace('_', '-')} does not go with --dataset, which has its own")
        if (self.val_images is None) != (self.val_labels is None):
            raise SettingError("--val-images and --val-labels belong together; give both or neither")


@dataclass(kw_only=True)
class FitSettings(GroundSettings):
    """Everything about one training run.

    Attributes:
        init: A run whose network and weights are the start.
        steps: Of the optimiser.
        steps_per_epoch: Steps between two validations; by default a tenth of all, from 10 to 500.
        seed: Of everything random.
        loss: A loss by its class path, alone or with init_args; BCE + IoU with the boundary term by default.
        data: How samples are taken.
        model: Which network is trained.
        optim: How the weights are moved.
        trainer: Arguments of Lightning's Trainer, such as accelerator, devices, precision, max_time.
    """

    init: Path | None = None
    steps: int = 1000
    steps_per_epoch: int | None = None
    seed: int = 0
    loss: str | dict[str, Any] | None = None
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the ranges of these, too."""
        super().__post_init__()
        _within("--steps", self.steps, 1, 10**9)
        _within("--seed", self.seed, 0, 2**32 - 1)
        if self.steps_per_epoch is not None:
            _at_least("--steps-per-epoch", self.steps_per_epoch, 1)

    @property
    def epoch(self) -> int:
        """Steps between two validations."""
        return min(self.steps, self.steps_per_epoch or min(500, max(10, self.steps // 10)))

    def plain(self) -> dict[str, Any]:
        """Nested dictionaries of plain values, as YAML holds them."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}
