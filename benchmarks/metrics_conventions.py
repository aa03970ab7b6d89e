"""What `conventions.py` measured, in words and as a table."""

import textwrap
from typing import Any


def summary(written: dict[str, Any]) -> list[str]:
    """What the table says, in sentences."""
    lines = []
    for place in written["places"]:
        scores = [row for row in place["rows"] if row["metric"] == "boundary F1"]
        every = [row[column] for row in scores for column in ("image", "pooled", "mosaic")]
        own = {f"{row['convention']} {row['length']}": row[row["own_reduction"]] for row in scores}
        least, most = min(own, key=own.__getitem__), max(own, key=own.__getitem__)
        at_3px = [row[row["own_reduction"]] for row in scores if row["length"] == "3 px"]
        lines.append(
            f"- **{place['title']}**: IoU {place['rows'][0]['pooled']:.3f}. Boundary F1 of the same masks is anything "
            f"from {min(every):.3f} to {max(every):.3f}; as the conventions themselves pool, from {own[least]:.3f} "
            f"({least}) to {own[most]:.3f} ({most}). At 3 px, which sounds like one definition, the three "
            f"conventions give {' and '.join([', '.join(f'{x:.3f}' for x in at_3px[:-1]), f'{at_3px[-1]:.3f}'])}."
        )
    return lines


def table(written: dict[str, Any]) -> list[str]:
    """The table of all scores as lines of Markdown."""
    places = written["places"]
    names = [f"{place['title']}, {column}" for place in places for column in ("mean of tiles", "pooled", "mosaic")]
    lines = ["| score | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for rows in zip(*(place["rows"] for place in places), strict=True):
        name = " ".join(word for word in (rows[0]["metric"], rows[0]["convention"], rows[0]["length"] or "") if word)
        cells = []
        for row in rows:
            own = row["own_reduction"]
            cells += [f"**{row[key]:.3f}**" if key == own else f"{row[key]:.3f}" for key in ("image", "pooled")]
            cells.append(f"{row['mosaic']:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def lengths(written: dict[str, Any]) -> list[str]:
    """What shares of the diagonal and metres come to, in sentences."""
    lines = []
    for place in written["places"]:
        found = []
        for row in place["rows"]:
            on = row["length_in_pixels"]
            if on is None or row["length"].endswith("px"):
                continue
            tile, mosaic = (f"{on[key]:.2f}".rstrip("0").rstrip(".") for key in ("tile", "mosaic"))
            name = row["convention"] or row["metric"]
            found.append(f"{name} {row['length']} is {tile} px" + f" ({mosaic} px)" * (tile != mosaic))
        high, wide = place["mosaic_shape"]
        scored = {row["convention"]: row["images_with_a_score"] for row in place["rows"] if row["images_with_a_score"]}
        lines.append(
            f"- {place['title']}, {place['tiles']} tiles of {place['tile_shape'][0]}² px "
            f"(mosaic {high} × {wide} px): {', '.join(dict.fromkeys(found))}. "
            f"Tiles with a score: {', '.join(f'{n} under {name}' for name, n in scored.items())}."
        )
    return lines


def page(written: dict[str, Any]) -> str:
    """The page that shows the numbers."""
    parts = {
        "table": "\n".join(table(written)),
        "summary": "\n".join(map(wrapped, summary(written))),
        "lengths": "\n".join(map(wrapped, lengths(written))),
        "places": "\n".join(wrapped(f"- {place['title']}: {place['text']}") for place in written["places"]),
        "command": written["command"],
    }
    return _PAGE.format(**parts)


def wrapped(item: str) -> str:
    """A paragraph, or an item of a list, in lines of at most 120 signs."""
    indent = "  " if item.startswith("- ") else ""
    return textwrap.fill(item, 120, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


_PAGE = """# How far conventions alone move a boundary score

One prediction of one network on each place; nothing but the definition of the score differs within a place. *Mean of
tiles*: the mean of the tiles' scores, those without one left out. *Pooled*: the score of their counts added up.
*Mosaic*: the same pixels put together and scored as one image. **Bold**: how the convention itself pools.

{table}

{summary}

What the lengths come to in pixels on a tile, and on the mosaic in brackets where that differs:

{lengths}

The places:

{places}

Made by `{command}`; commands, versions and machine in [metric-conventions.json](metric-conventions.json).
Definitions: [docs/metrics.md](../metrics.md).
"""
