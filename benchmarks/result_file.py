"""What benchmarks share: their command line, and their two files, NAME.json and the page made of it."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def new_parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """A parser with --out and --quick, and room for more; `quick` says what a smoke run is on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the two files; docs/results if not given")
    parser.add_argument("--quick", action="store_true", help=f"a smoke run on {quick}")
    return parser


def parse(
    parser: argparse.ArgumentParser, file: str, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """What is asked, and what a result begins with: its command and whether it is a smoke run.

    A smoke run must say where its files go, because its numbers are no results; one contender alone writes none.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    asked = parser.parse_args(arguments)
    if asked.quick and asked.out is None and not getattr(asked, "contender", None):
        parser.error("--quick needs --out: its numbers are no results")
    command = shlex.join([".venv/bin/python", f"benchmarks/{Path(file).name}", *arguments])
    return asked, {"command": command, "smoke_run": asked.quick}


def write(out: Path | None, name: str, result: dict[str, Any], page: Callable[[dict[str, Any]], str]) -> None:
    """Writes NAME.json, and NAME.md from what can be read in it."""
    out = out or RESULTS
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (out / f"{name}.json").write_text(text)
    (out / f"{name}.md").write_text(page(json.loads(text)))
    print(f"{name}.json and .md written to {out}")


def origin(result: dict[str, Any], name: str, remark: str = ".") -> list[str]:
    """The lines of a page that say where its numbers come from; `remark` follows the number of cores."""
    machine, versions = result["machine"], result["versions"]
    return [
        f"Made from [{name}.json]({name}.json), which",
        "",
        "```bash",
        result["command"],
        "```",
        "",
        f"wrote on {result['date']} at commit {result['commit'][:12]}. {machine['processor']}, {machine['cores']} cores"
        f"{remark} {', '.join(f'{each} {version}' for each, version in versions.items())}.",
        "",
    ]
