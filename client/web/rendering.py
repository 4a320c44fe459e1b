"""The templates of the HTML."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facewire.client.web import words

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined
)
TEMPLATES.filters.update(
    whole=words.whole,
    plural=words.plural,
    megabytes=words.megabytes,
    isolated=words.isolated,
    day_name=words.day_name,
    clock=words.clock,
)
# Scripts compare answers as JSON, and those in a page with those that come later
TEMPLATES.policies["json.dumps_kwargs"] = {"sort_keys": False}
TEMPLATES.globals["address"] = words.address
