"""The report as one HTML page: page.html filled in, everything from data escaped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.io.atomic import write_text

TEMPLATE = "page.html"
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
TONES = {"better": "up", "worse": "down"}  # verdict to the style of its text


def write_page(path: Path, content: Mapping[str, Any]) -> None:
    """Fill the template with `content` and write it to `path`.

    Text in `content` is escaped; drawings come as `Markup` (see `drawing`). A name that the
    template asks for and `content` lacks is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "signed": signed, "hex": hex_colour, "tone": tone}
    write_text(path, environment.get_template(TEMPLATE).render(content))


def drawing(svg: str) -> Markup:
    """Mark an SVG of ours as safe to insert; matplotlib has escaped the text in it."""
    return Markup(svg)


def figure(number: float, digits: int = 3) -> str:
    """`0.8123` → `0.812`; an en dash where there is no number."""
    return NONE if pd.isna(number) else f"{number:.{digits}f}".replace("-", MINUS)


def signed(number: float, digits: int = 3) -> str:
    """`0.0123` → `+0.012`, with a true minus sign; an en dash where there is no number."""
    return NONE if pd.isna(number) else f"{number:+.{digits}f}".replace("-", MINUS)


def tone(verdict: str) -> str:
    """The style class of a verdict; none for what cannot be told."""
    return TONES.get(verdict, "")


def hex_colour(colour: tuple[int, int, int]) -> str:
    """`(255, 0, 16)` → `#ff0010`."""
    return "#" + "".join(f"{channel:02x}" for channel in colour)
