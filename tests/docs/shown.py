"""What the pages show: their fenced blocks, and the commands in these."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Relative to the root.
        number: Of the block on its page, from 1.
        language: What stands after the fence.
        text: What it shows.
    """

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"

    @property
    def lines(self) -> list[str]:
        """The commands of a shell block, each in one line, without remarks."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [shlex.join(words) for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def blocks_of(page: Path) -> list[Block]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    name = page.relative_to(ROOT).as_posix()
    return [Block(name, i, language, text) for i, (_, language, text) in enumerate(found, 1)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def crispmap_arguments(line: str) -> list[str] | None:
    """What a line hands to crispmap, whatever launches it; None if it calls something else."""
    words = shlex.split(line)
    for i, word in enumerate(words):
        if word in ("crispmap", ".venv/bin/crispmap"):
            return words[i + 1 :]
    return None


def write_files(page: str) -> None:
    """Writes the YAML files that a page shows, those that begin with a remark of their name, where one works."""
    for block in BLOCKS:
        name = re.match(r"# (\w+\.yaml)\n", block.text)
        if block.page == page and block.language == "yaml" and name:
            Path(name[1]).write_text(block.text, encoding="utf-8")
