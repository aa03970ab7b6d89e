"""A trained model as a STAC item with the machine learning model extension (MLM)."""

import re
from pathlib import Path
from typing import Any

from crispmap.errors import SettingError
from crispmap.export.stac import ANY_TIME, Json, beside, extension, item
from crispmap.models import ModelSpec, SegmentationModel, fingerprint

_MLM = extension("mlm", "1.4.0")
_TASKS = ["semantic-segmentation"]
_WORLD = [-180.0, -90.0, 180.0, 90.0]
_KINDS = {  # media type and how the file was made
    ".pt": ("application/octet-stream; application=pytorch", "torch.save"),
    ".ckpt": ("application/octet-stream; application=pytorch", "torch.save"),
    ".safetensors": ("application/octet-stream; application=safetensors", "safetensors.torch.save_file"),
    ".onnx": ("application/octet-stream; application=onnx", "torch.onnx.export"),
}
# https://semver.org, to which the extension holds a framework's version
_SEMANTIC_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[\w.-]+)?(\+[\w.-]+)?", re.ASCII)


def model_name(spec: ModelSpec) -> str:
    """What a model is called in STAC, here and in the items of its predictions."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", f"crispmap-{spec.architecture}-{spec.encoder}")


def model_item(model: SegmentationModel, weights: str | Path, folder: str | Path) -> Json:
    """Describes a model.

    *Convention.* Where and when a model holds good is not known, so the item covers the whole world and all time, as
    the extension advises. The id ends with a hash of the weights, for ids are unique in a collection. Bands have their
    numbers for names. The input is that of the weights: values of the image files, unscaled, since normalisation is
    inside the network (of an ONNX file: divided by 255). Validation metrics stand under ``crispmap:validation``, for
    the extension has no place for them.

    Args:
        model: What is described.
        weights: The file that holds it: .pt, .ckpt, .safetensors or .onnx.
        folder: Where the item will lie.

    Raises:
        SettingError: If the file is none of these.
    """
    weights = Path(weights)
    if weights.suffix not in _KINDS:
        raise SettingError(f"{weights} is none of the files that hold models: {', '.join(_KINDS)}")
    media_type, made_by = _KINDS[weights.suffix]
    spec, is_onnx = model.spec, weights.suffix == ".onnx"
    asset = {
        "href": beside(weights, folder),
        "type": media_type,
        "title": "Weights and specification" if not is_onnx else "Network from image to probability",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": made_by,
        "bands": _bands(spec),  # core STAC admits bands among the properties only if an asset has them, too
    }
    west, south, east, north = _WORLD
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return item(
        f"{model_name(spec)}-{fingerprint(model)[:8]}",
        {"type": "Polygon", "coordinates": [ring]},
        _WORLD,
        {**ANY_TIME, **_properties(model, is_onnx)},
        assets={"weights": asset},
        extensions=[_MLM],
    )


def _properties(model: SegmentationModel, is_onnx: bool) -> Json:
    spec = model.spec
    seen = spec.resolution or spec.trained_resolution
    unit = "divided by 255" if is_onnx else "as they are"
    numbers = [*model.parameters(), *model.buffers()]
    return {
        "title": f"{spec.architecture} with {spec.encoder}: {', '.join(spec.classes)} in aerial imagery",
        "description": f"Trained with crispmap on {spec.bands} bands of {spec.dtype}. Input: values of the image files "
        f"{unit}, NaN where there is no data; normalisation is inside.",
        **({} if seen is None else {"gsd": seen}),
        "bands": _bands(spec),
        "mlm:name": model_name(spec),
        "mlm:architecture": spec.architecture,
        "mlm:tasks": _TASKS,
        "mlm:framework": "ONNX" if is_onnx else "PyTorch",
        **({} if is_onnx else _framework_version(spec)),
        "mlm:memory_size": sum(each.numel() * each.element_size() for each in numbers),
        "mlm:total_parameters": sum(each.numel() for each in model.parameters()),
        **_pretraining(spec),
        "mlm:input": [
            {
                "name": "image",
                "bands": [band["name"] for band in _bands(spec)],
                "input": _array(["batch", "bands", "height", "width"], spec.bands),
                "value_scaling": [{"type": "scale", "value": 255}] if is_onnx else None,
                "resize_type": None,
            }
        ],
        "mlm:output": [_output(spec, is_onnx)],
        **_hyperparameters(spec),
        **_validation(spec),
    }


def _bands(spec: ModelSpec) -> list[Json]:
    return [{"name": str(number)} for number in range(1, spec.bands + 1)]


def _output(spec: ModelSpec, is_onnx: bool) -> Json:
    classes = [
        {"value": value, "name": re.sub(r"[^A-Za-z0-9_-]", "-", name), "description": name}
        for value, name in enumerate(("background", *spec.classes))
    ]
    sigmoid = {} if is_onnx else {"post_processing_function": {"format": "python", "expression": "torch:sigmoid"}}
    return {
        "name": "probability" if is_onnx else "logits",
        "tasks": _TASKS,
        "result": _array(["batch", "class", "height", "width"], len(spec.classes)),
        "classification:classes": classes,
        **sigmoid,
    }


def _array(order: list[str], channels: int) -> Json:
    return {"shape": [-1, channels, -1, -1], "dim_order": order, "data_type": "float32"}


def _framework_version(spec: ModelSpec) -> Json:
    version = str(spec.training.get("versions", {}).get("torch", ""))
    return {"mlm:framework_version": version} if _SEMANTIC_VERSION.fullmatch(version) else {}


def _pretraining(spec: ModelSpec) -> Json:
    settings = _settings(spec)
    if not settings:
        return {}
    init = settings.get("init")
    source = Path(init).name if init else settings.get("model", {}).get("weights")
    return {"mlm:pretrained": source is not None, "mlm:pretrained_source": source}


def _hyperparameters(spec: ModelSpec) -> Json:
    settings = _settings(spec)
    values = {name: settings.get(name) for name in ("steps", "seed", "scale", "loss")}
    for part in ("data", "optim"):
        values |= settings.get(part, {})
    values = {name: value for name, value in values.items() if value is not None}
    return {"mlm:hyperparameters": values} if values else {}


def _validation(spec: ModelSpec) -> Json:
    metrics = spec.training.get("metrics")
    return {"crispmap:validation": metrics} if metrics else {}


def _settings(spec: ModelSpec) -> dict[str, Any]:
    return spec.training.get("settings") or {}
