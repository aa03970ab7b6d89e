"""Where else a run is logged: Lightning's loggers, by name."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.loggers import Logger

from crispmap.errors import SettingError, first_line

LOGGERS = sorted(set(loggers.__all__) - {"Logger"})


def build_loggers(given: str | Mapping[str, Mapping[str, Any] | None] | None) -> list[Logger]:
    """Makes the loggers that a run has beside ``metrics.csv`` and TensorBoard, which every run has.

    Args:
        given: A name such as "WandbLogger", or names with the arguments of each.

    Raises:
        SettingError: If Lightning has no such logger, or it cannot be made.
    """
    made = []
    for name, arguments in ({given: None} if isinstance(given, str) else given or {}).items():
        if name not in LOGGERS:
            raise SettingError(f"--trainer.logger has no {name}; there are {', '.join(LOGGERS)}")
        try:
            made.append(getattr(loggers, name)(**arguments or {}))
        except Exception as error:  # a missing package, or whatever a service may raise
            raise SettingError(f"--trainer.logger {name} cannot be made: {first_line(error)}") from error
    return made
