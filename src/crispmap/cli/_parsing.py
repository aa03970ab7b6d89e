"""What every command's parser shares: one-line mistakes, an example at the end of ``--help``, dashes in flags."""

import re
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from crispmap.class_paths import check_settings
from crispmap.errors import InputError, OutputError, SettingError
from crispmap.input_file import check_input_file, check_text, read_yaml
from crispmap.whole import clear_abandoned

_LONG_FLAG = re.compile(r"--[a-z][\w.]*")
_CONFIG = "--config"


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
        """Parses the arguments, dashes and underscores alike in the flags; files of settings are looked at first."""
        arguments = [self._known(arg) for arg in args or []]
        for argument in arguments:
            check_text(argument)
        for flag, path in self._settings_files(arguments):
            found = read_yaml(path, flag)
            if "--trust" not in arguments:
                check_settings(found, f"{flag} {path}")
        try:
            return super().parse_args(arguments, *more, **settings)
        except OverflowError as error:  # of a number that no float can hold
            raise SettingError(f"a number is too large ({error}; see {self.prog} --help)") from error

    def take_trust(self) -> None:
        """Adds the flag by which settings may name any code."""
        self.add_argument("--trust", action="store_true", help="import whatever classes the settings name; they run")

    def format_help(self, *settings: Any) -> str:
        """The help, its flags with dashes."""
        text = _LONG_FLAG.sub(lambda flag: flag[0].replace("_", "-"), super().format_help(*settings))
        return re.sub(r"<class\s+'Path'>", "path", text).replace("type: Path", "type: path")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the mistake as a `SettingError` instead of printing the usage and leaving."""
        raise SettingError(f"{message} (see {self.prog} --help)") from ex

    def _settings_files(self, arguments: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """The YAML files that arguments name, each with its flag: whole configurations, and groups such as --data."""
        groups = {option.partition(".")[0] for option in self._option_string_actions if "." in option}
        for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
            flag, equals, value = argument.partition("=")
            path = Path(value if equals else following)
            if flag == _CONFIG or (flag in groups and path.is_file()):  # groups take YAML as it stands, too
                yield flag, existing_path(path, flag)

    def _known(self, arg: str) -> str:
        """The argument, its flag in the spelling that the parser has."""
        flag, equals, value = arg.partition("=")
        if not flag.startswith("--") or flag in self._option_string_actions:
            return arg
        return "--" + flag[2:].replace("-", "_") + equals + value


def existing_path(value: str | Path, what: str) -> Path:
    """Checks that a path the user gave is there, and that a read of it ends.

    Raises:
        InputError: If it is not, or is a pipe, a socket or a device.
    """
    path = Path(value)
    if not path.exists():
        raise InputError(f"{what} not found: {path}")
    check_input_file(path)
    return path


def free_path(value: str | Path, *, overwrite: bool) -> Path:
    """Checks that an output may be written: nothing is there, an empty folder is, or it may be replaced.

    Raises:
        OutputError: If something is there and ``overwrite`` is false, or it would not lie in a folder.
    """
    path = Path(value)
    clear_abandoned(path.parent)  # what a killed process left of it
    above = next((folder for folder in path.parents if folder.exists()), path.parent)
    if not above.is_dir():
        raise OutputError(f"{above} is no folder, so {path} cannot be made in it; give another place")
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not overwrite:
        raise OutputError(f"{path} exists already; give another place or --overwrite")
    return path
