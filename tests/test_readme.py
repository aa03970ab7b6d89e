"""What the README shows works as it stands; its commands are parsed with those of all pages, in tests/docs."""

import re
import shlex
from pathlib import Path

from crispmap.cli import COMMANDS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_snippet_runs(capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor(")


def test_all_commands_are_shown():
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("crispmap ")]
    assert {shlex.split(line)[1] for line in lines} == set(COMMANDS) - {"synthesize", "demo"}
