"""What the README shows works as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from crispmap.cli import COMMANDS, import_command

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMAND_LINES = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("crispmap ")
]


def test_the_python_snippet_runs(capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor(")


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_the_commands_parse(line):
    command, *arguments = shlex.split(line)[1:]
    import_command(command).build_parser().parse_args(arguments)


def test_commands_are_shown():
    assert {shlex.split(line)[1] for line in COMMAND_LINES} == set(COMMANDS) - {"synthesize", "demo"}
