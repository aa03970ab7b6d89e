"""The command line: one module a command, loaded only when that command is called.

Each module has ``build_parser()`` and ``run(args)``. Both stay free of torch until the arguments and the
paths among them have been looked at, so that ``--help`` and a mistyped path answer at once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from crispmap import __version__
from crispmap.errors import printable
from crispmap.geo.drivers import keep_few_drivers
from crispmap.shortage import to_mend

COMMANDS = {
    "synthesize": "make synthetic aerial scenes with exact masks and footprints",
    "fit": "train a network on imagery with labels",
    "predict": "map rasters: probability, mask and footprints",
    "vectorize": "make footprints of a probability raster or a mask",
    "evaluate": "compare predicted masks with the truth",
    "compare": "train several losses on equal terms and say which is better, and how sure that is",
    "reproduce": "repeat the paper's experiment on its data sets, or on synthetic scenes",
    "suggest-theta": "measure how far labels lie off, and the boundary loss's θ for them",
    "check-data": "look through a published dataset: what is there, what is missing",
    "export": "write a model for other tools: ONNX, STAC, the Hugging Face Hub",
    "networks": "list the networks that fit knows by name, and what each costs",
    "search-weight": "train with the boundary weight that does best on validation, searched for on the way",
    "demo": "all of it at once, on data it makes itself, with a report",
}


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: crispmap COMMAND [OPTIONS]",
            "",
            "Crisp maps from aerial imagery: train on imagery with labels, predict, get footprints.",
            "",
            "commands:",
            *lines,
            "",
            "  crispmap COMMAND --help   says what a command takes, with an example",
            "  crispmap --version",
        ]
    )


def import_command(command: str) -> Any:
    """The module of a command, with its ``build_parser()`` and ``run(args)``."""
    return import_module(f"crispmap.cli.{command.replace('-', '_')}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after the program's name; those of the process by default.

    Returns:
        The exit status: 0 when done, 2 when the user has something to mend (one line on standard error says
        what). Anything unforeseen is raised, because it is a bug.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if command in ("-h", "--help"):
        print(_overview())
        return 0
    if command == "--version":
        print(f"crispmap {__version__}")
        return 0
    if command not in COMMANDS:
        print(f"crispmap: no command '{command}'; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    _log_to_stderr()
    # Before torch is loaded: threads that wait for each other soon sleep instead of spinning for milliseconds, in
    # which a loader worker or another program could have used the processor.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    keep_few_drivers()
    try:
        module = import_command(command)
        module.run(module.build_parser().parse_args(arguments[1:]))
    except SystemExit as stop:  # argparse's way out of --help
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print(f"crispmap {command}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if (line := to_mend(error, command)) is None:
            raise
        print(f"crispmap {command}: {line}", file=sys.stderr)
        return 2
    return 0


class _StderrHandler(logging.Handler):
    """Prints to whatever standard error is at the moment, so that lines go above a progress bar, not through it."""

    def emit(self, record: logging.LogRecord) -> None:
        print("\n".join(map(printable, self.format(record).splitlines())), file=sys.stderr)


def _log_to_stderr() -> None:
    logger = logging.getLogger("crispmap")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        logger.addHandler(_StderrHandler())


def entry_point() -> None:
    """The ``crispmap`` script."""
    sys.exit(main())
