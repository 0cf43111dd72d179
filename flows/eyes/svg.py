"""Drawings as SVG text: templates beside this file, one style sheet, everything escaped."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent


def draw(template: str, **values: Any) -> str:
    """Render ``NAME.svg.j2``."""
    return _environment().get_template(f"{template}.svg.j2").render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["style"] = Markup((HERE / "style.css").read_text(encoding="utf-8"))  # ours
    return environment
