"""Which code settings may name: a class path is imported, and so runs, before anyone can look at what it is.

Free of torch: settings are looked at before anything that they name is imported.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crispmap.errors import SettingError

KNOWN = (
    "crispmap",
    "crispmap.losses",
    "torch.nn",
    "torchvision.ops",
    "segmentation_models_pytorch.losses",
    "monai.losses",
)
_PATHS = {"images", "labels", "val_images", "val_labels", "area", "init", "out"}
_GROUPS = {"data", "model", "optim", "trainer"}
_OUTSIDE = ("logger", "profiler", "plugins")  # of the trainer: what writes, sends or is loaded elsewhere
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_WORDS = re.compile(r"[\w.+ -]*")
_NESTED = re.compile(r"[{\[\n\t]|:( |$)")  # what makes a mapping or a list of a text that is read once more


def check_loss(loss: Any) -> None:
    """Checks that a loss names no code but the losses of known libraries.

    *Convention.* A name is a known module and one class in it. Whatever else of dots there is, at any depth, may be an
    import path too, and text with more than words in it may hold one; both are refused.

    Args:
        loss: A class path, or a mapping with ``class_path`` and ``init_args``, as `crispmap fit` takes it.

    Raises:
        SettingError: If it does.
    """
    for text in _texts(loss):
        module, _, name = text.rpartition(".")
        if _DOTTED.fullmatch(text) and not (module in KNOWN and name[0].isupper()):
            raise SettingError(
                f"a loss names {text}, which is none of the classes of {', '.join(KNOWN)}; if you know whose code that "
                "is, give --trust"
            )
        if not _WORDS.fullmatch(text):
            raise SettingError(f"a loss has the text {text[:60]!r}, which may name code; --trust takes it")


def check_settings(settings: Any, source: str) -> None:
    """Checks that settings from a file name no code but known losses.

    Args:
        settings: What the file holds.
        source: What messages call it.

    Raises:
        SettingError: If they do, are no settings by name, or would take more from elsewhere.
    """
    if settings is None:
        return
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise SettingError(f"{source} must hold settings by name")
    for key, value in settings.items():
        name, _, inner = key.partition(".")
        if name in ("config", "trust"):
            raise SettingError(f"{source} sets {name}, which belongs on the command line")
        if name in _GROUPS and not inner and not isinstance(value, Mapping | None):
            raise SettingError(f"{source} sets {name} to {str(value)[:60]!r}; it must hold settings by name")
        if any(part.startswith("__") for each in (key, *_keys(value)) for part in each.split(".")):
            raise SettingError(f"{source} has a setting in {name} whose name begins with __, which none does")
        if name == "loss" or (name == "losses" and inner):
            check_loss(value)
        elif name == "losses" and isinstance(value, Mapping):  # else they are names, or a file looked at when read
            check_loss(list(value.values()))
        elif name not in _PATHS:
            _check_plain(key, value, source)
        if name == "trainer":
            _check_stays_inside(inner, value, source)


def _check_plain(key: str, value: Any, source: str) -> None:
    if "class_path" in _keys(value):
        raise SettingError(f"{source} gives {key} a class_path; only a loss has one")
    for text in _texts(value):
        if _NESTED.search(text):
            raise SettingError(f"{source} gives {key} the text {text[:60]!r}; write it as YAML, not as text")


def _check_stays_inside(inner: str, value: Any, source: str) -> None:
    """Checks that no argument of the trainer, of a mapping or by a name with dots, leads out of the run's folder."""
    for name, each in ({inner: value} if inner else value or {}).items():
        if str(name).partition(".")[0] in _OUTSIDE and each not in (None, False):
            raise SettingError(
                f"{source} sets trainer.{name}, which may write anywhere or reach the network; give it on the command "
                "line, or give --trust"
            )


def _texts(value: Any) -> list[str]:
    """Every text in nested values, names of settings left out."""
    return [each for each in _nested(value) if isinstance(each, str)]


def _keys(value: Any) -> list[str]:
    """Every name of a setting in nested values."""
    return [str(key) for each in _nested(value) if isinstance(each, Mapping) for key in each]


def _nested(value: Any) -> Iterator[Any]:
    """A value, and all that is in it at any depth."""
    yield value
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _nested(each)
