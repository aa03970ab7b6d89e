"""A model as an ONNX file, for QGIS Deepness and whatever else runs ONNX.

Normalisation is inside the graph, and so is the sigmoid: imagery goes in, probabilities come out.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crispmap import __version__
from crispmap.errors import OutputError, SettingError, first_line
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.whole import whole_file

OPSET = 18
INPUT, OUTPUT = "image", "probability"

_IR_VERSION = 8  # the one that came with opset 18; runtimes refuse files of a version newer than they are
_FULL_SCALE = 255.0  # what Deepness divides every image by, whatever its type
_TILE = 512  # Deepness's side of a tile where the graph leaves it open; the default of `crispmap predict`
_OVERLAP = 25  # per cent, as there
_TOLERANCE = 0.01  # from here on it is another network; trained ones differ by some 1e-6
_SHAPES = [(1, 32, 32), (1, 64, 64), (2, 33, 70), (1, 224, 160)]  # where some networks' graphs go wrong, if they do


def check_extra() -> None:
    """Checks that what exporting needs is installed.

    Raises:
        SettingError: If it is not.
    """
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise SettingError(f'ONNX needs {" and ".join(missing)}, not installed here: pip install "crispmap[onnx]"')


def write_onnx(model: SegmentationModel, path: str | Path, *, tile: int | None = None) -> float:
    """Writes a model as an ONNX file of opset 18, once onnxruntime has computed with it what PyTorch does.

    *Convention.* The input ``image``, float32 (N, bands, H, W), holds the values of the image files divided by 255,
    whatever their type: Deepness divides so and by nothing else, and the graph multiplies back. NaN and infinities, in
    one band or all, count as pixels without data, of which the network sees the mean of the training imagery; values
    that an image declares as nodata are unknown to the graph and have to become NaN first. The output ``probability``,
    float32 (N, classes, H, W), is in [0, 1]. Height and width need not be multiples of anything: the graph pads with
    the mean and crops.

    Args:
        model: What to write, on the CPU; it is not changed.
        path: The file, which appears whole or not at all; one that is there is replaced.
        tile: The side of the images that the graph takes. Without it any height and width do; but Deepness needs a
            graph whose sides are fixed, and gives it one size of tile.

    Returns:
        By how much onnxruntime's probabilities of noise differ from PyTorch's, at most. Rounding makes it about 1e-6,
        and more where a network amplifies it, as deep ones do that are not trained yet.

    Raises:
        OutputError: If the network has something in it that ONNX has not, or not for any height and width.
        SettingError: If the side is not positive, or what exporting needs is not installed.
    """
    if tile is not None and tile < 1:
        raise SettingError(f"the side of a tile is at least 1 pixel, not {tile}")
    check_extra()
    import onnx

    program = _translated(model, tile)
    _strip(program)
    program.ir_version = _IR_VERSION
    program.producer_name, program.producer_version = "crispmap", __version__
    program.doc_string = f"{INPUT}: values of the image files / 255; {OUTPUT}: of {', '.join(model.spec.classes)}"
    onnx.helper.set_model_props(program, deepness_metadata(model.spec, tile or _TILE))
    onnx.checker.check_model(program, full_check=True)
    with whole_file(path) as part:
        onnx.save(program, part)
        return _difference(model, part, [(1, tile, tile)] if tile else _SHAPES)


def deepness_metadata(spec: ModelSpec, tile: int) -> dict[str, str]:
    """What the QGIS plugin Deepness reads from a model, each value in JSON.

    *Convention.* Of one class it makes two, the first of which is the background. Its resolution is in centimetres a
    pixel, and missing where the model's is not known. Standardisation is unset, since it is in the graph, and so is
    the blur of the result (``seg_small_segment``). The side of tiles stands under two keys: the plugin's documentation
    has one, its code the other.

    Args:
        spec: Of the model.
        tile: The side of a tile in pixels.
    """
    seen = spec.resolution or spec.trained_resolution
    names = spec.classes if len(spec.classes) > 1 else ("background", *spec.classes)
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": dict(enumerate(names)),
        **({} if seen is None else {"resolution": round(100 * seen, 4)}),
        "tile_size": tile,
        "tiles_size": tile,
        "tiles_overlap": _OVERLAP,
        "seg_thresh": 0.5,
        "seg_small_segment": 0,
    }
    return {name: json.dumps(value) for name, value in values.items()}


class _Probability(nn.Module):
    """A model from Deepness's input to probabilities."""

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        probability: Tensor = self.model(image * _FULL_SCALE).sigmoid()
        return probability


def _translated(model: SegmentationModel, tile: int | None) -> Any:
    """The model as an ``onnx.ModelProto``, as torch makes it."""
    side = tile or 64
    # two images, not square: torch takes what is 1 or the same by chance for a rule
    example = torch.zeros(2, model.spec.bands, side, side if tile else side + 32)
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if tile is None:
        free |= {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    try:
        with _evaluating(model), _quiet(), _same_padding_of_whole_strides():
            program = torch.onnx.export(
                _Probability(model).eval(),
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"image": free},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise _refusal(model.spec, error) from error
    assert program is not None  # torch's other way of exporting returns nothing
    return program.model_proto


def _difference(model: SegmentationModel, path: Path, shapes: list[tuple[int, int, int]]) -> float:
    """By how much onnxruntime's probabilities of a file differ from PyTorch's, for noise of some (N, H, W).

    Raises:
        OutputError: If the graph does not run, or is another network.
    """
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, too
    noise = torch.Generator().manual_seed(0)
    most = 0.0
    for count, height, width in shapes:
        image = torch.rand(count, model.spec.bands, height, width, generator=noise)
        with torch.inference_mode(), _evaluating(model):
            expected = _Probability(model)(image).numpy()
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            probability = session.run([OUTPUT], {INPUT: image.numpy()})[0]
        except Exception as error:  # its errors have no class in common
            raise _refusal(model.spec, error) from error
        difference = float(abs(probability - expected).max())
        if not difference <= _TOLERANCE:
            raise _refusal(model.spec, f"its probabilities differ by {difference:.2g} from PyTorch's")
        most = max(most, difference)
    return most


def _refusal(spec: ModelSpec, reason: object) -> OutputError:
    return OutputError(
        f"{spec.architecture} with {spec.encoder} cannot be written as ONNX as asked for; a fixed side may do, or "
        f"another one (--tile 512): {first_line(reason)}"
    )


@contextmanager
def _evaluating(model: SegmentationModel) -> Iterator[None]:
    """The model in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def _same_padding_of_whole_strides() -> Iterator[None]:
    """The "same" padding of timm's layers where strides divide sides, which a model's own padding sees to.

    timm divides the side by the stride and rounds up. Where the side is left open, torch carries every such division
    through all that comes after: a small MobileNet then takes half an hour instead of a few seconds. Should a network
    pad otherwise, its probabilities are other ones, and the file is refused.
    """
    from timm.layers import padding

    def of_whole_strides(x: int, kernel_size: int, stride: int, dilation: int) -> Any:
        return max((kernel_size - 1) * dilation + 1 - stride, 0)

    before = padding.get_same_padding
    padding.get_same_padding = of_whole_strides
    try:
        yield
    finally:
        padding.get_same_padding = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's words about its own translation."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _strip(program: Any) -> None:
    """Takes away what torch notes of each node: lines of source files, with the folders of this machine."""
    graph = program.graph
    for part in (program, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
    for function in program.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
