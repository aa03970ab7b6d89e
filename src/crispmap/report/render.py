"""Templates of this folder made into HTML files that need nothing beside themselves."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from crispmap.report.figures import EDGE_COLOURS
from crispmap.whole import whole_file


def write_html(path: str | Path, template: str, **content: Any) -> None:
    """Fills a template in; every text of its content is escaped.

    Args:
        path: The HTML file; it appears whole or not at all.
        template: The name of its file.
        content: By the names that the template has for it. The colours of the edge pictures are there already.
    """
    environment = Environment(
        loader=PackageLoader("crispmap.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["edge_colours"] = {name: "#{:02x}{:02x}{:02x}".format(*c) for name, c in EDGE_COLOURS.items()}
    page = environment.get_template(template).render(content)
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")
