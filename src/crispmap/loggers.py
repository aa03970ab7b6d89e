"""Where a run is logged: in a table of its own, and by Lightning's loggers, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import loggers
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from crispmap.errors import SettingError, first_line
from crispmap.run import Row, write_metrics

LOGGERS = sorted(set(loggers.__all__) - {"Logger"})


def build_loggers(given: str | Mapping[str, Mapping[str, Any] | None] | Literal[False] | None) -> list[Logger]:
    """Makes the loggers that a run has beside ``metrics.csv`` and TensorBoard, which every run has.

    Args:
        given: A name such as "WandbLogger", or names with the arguments of each; None or false for no more.

    Raises:
        SettingError: If it is none of these, Lightning has no such logger, or it cannot be made.
    """
    if given is None or given is False:
        return []
    if not isinstance(given, str | Mapping):
        raise SettingError(
            f"--trainer.logger is {given!r}; give a name, such as CSVLogger, or names with the arguments of each: "
            "{CSVLogger: {save_dir: logs}}"
        )
    made = []
    for name, arguments in ({given: None} if isinstance(given, str) else given).items():
        if name not in LOGGERS:
            raise SettingError(f"--trainer.logger has no {name}; there are {', '.join(LOGGERS)}")
        try:
            made.append(getattr(loggers, name)(**arguments or {}))
        except Exception as error:  # a missing package, or whatever a service may raise
            raise SettingError(f"--trainer.logger {name} cannot be made: {first_line(error)}") from error
    return made


class MetricsTable(Logger):
    """Logs into one table, which is whole on disk at any moment: each validation writes it anew.

    Args:
        path: The CSV file.
        rows: What earlier parts of the run logged.
    """

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        super().__init__()
        self._path = path
        self._rows = list(rows)

    @property
    def name(self) -> None:
        """None: the table has a place of its own."""

    @property
    def version(self) -> None:
        """None, likewise."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Takes in a row."""
        self._rows.append({**metrics, "step": step})

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Does nothing: config.yaml has them."""

    @rank_zero_only
    def save(self) -> None:
        """Writes the table."""
        write_metrics(self._path, self._rows)
