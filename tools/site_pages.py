"""What mkdocs.yml cannot say: pages by pattern, and files outside docs/ that pages link to."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PUBLISHED = ("examples/*.py", "notebooks/*.ipynb")  # with the site, below its root
# A link to one of these as the repository has it: from docs/ up and out. In the site it is one step less.
_OUTWARDS = re.compile(r"\]\(\.\./((?:\.\./)*(?:examples|notebooks)/[\w.-]+)\)")


def on_config(config: MkDocsConfig) -> None:
    """Puts the pages of a folder in the place of a pattern such as ``results/*.md`` in the navigation."""
    config.nav = [_expanded(item, Path(config.docs_dir)) for item in config.nav or []]


def _expanded(item: Any, docs: Path) -> Any:
    if not isinstance(item, dict):
        return item
    ((title, content),) = item.items()
    if isinstance(content, str) and "*" in content:
        content = [path.relative_to(docs).as_posix() for path in sorted(docs.glob(content))]
    return {title: content}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the files outside docs/."""
    for path in (path for pattern in PUBLISHED for path in ROOT.glob(pattern)):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Leads links to them to where the site has them."""
    return _OUTWARDS.sub(r"](\1)", markdown)
