"""What every command's parser shares: one-line mistakes, an example at the end of ``--help``, dashes in flags."""

import re
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from crispmap.errors import InputError, OutputError, SettingError

_LONG_FLAG = re.compile(r"--[a-z][\w.]*")


class _HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Defaults and types in the options, line breaks kept in the example."""


class CommandParser(ArgumentParser):
    """A jsonargparse parser whose mistakes are a `SettingError` of one line.

    Flags that jsonargparse makes from field names have underscores; they are shown and taken with dashes.

    Args:
        command: The command's name.
        summary: What it does, in a sentence.
        example: Lines shown under "example:" at the end of the help.
    """

    def __init__(self, command: str = "", summary: str = "", example: str = "", **settings: Any) -> None:
        if command:
            lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
            settings |= {
                "prog": f"crispmap {command}",
                "description": summary,
                "epilog": f"example:\n{lines}",
            }
        super().__init__(**{"formatter_class": _HelpFormatter} | settings)

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:  # type: ignore[override]
        """Parses the arguments, dashes and underscores alike in the flags."""
        return super().parse_args([self._known(arg) for arg in args or []], *more, **settings)

    def format_help(self, *settings: Any) -> str:
        """The help, its flags with dashes."""
        text = _LONG_FLAG.sub(lambda flag: flag[0].replace("_", "-"), super().format_help(*settings))
        return re.sub(r"<class\s+'Path'>", "path", text).replace("type: Path", "type: path")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the mistake as a `SettingError` instead of printing the usage and leaving."""
        raise SettingError(f"{message} (see {self.prog} --help)") from ex

    def _known(self, arg: str) -> str:
        """The argument, its flag in the spelling that the parser has."""
        flag, equals, value = arg.partition("=")
        if not flag.startswith("--") or flag in self._option_string_actions:
            return arg
        return "--" + flag[2:].replace("-", "_") + equals + value


def existing_path(value: str | Path, what: str) -> Path:
    """Checks that a path the user gave is there.

    Raises:
        InputError: If it is not.
    """
    path = Path(value)
    if not path.exists():
        raise InputError(f"{what} not found: {path}")
    return path


def free_path(value: str | Path, *, overwrite: bool) -> Path:
    """Checks that an output may be written: nothing is there, an empty folder is, or it may be replaced.

    Raises:
        OutputError: If something is there and ``overwrite`` is false.
    """
    path = Path(value)
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        raise OutputError(f"{path} exists already; give another place or --overwrite")
    return path
