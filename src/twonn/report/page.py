"""The report as one page of HTML that needs no other file, no network and no script."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from twonn.report import text
from twonn.report.opening import NOTHING, TITLE, finished, interruption, introduction, unfinished
from twonn.report.section import Section
from twonn.report.text import Results

__all__ = ["page"]


def page(results: Results, sections: Sequence[Section], drawn: Mapping[str, str]) -> str:
    """Return the page: results and the SVG of the figures are all that goes into it.

    Parameters
    ----------
    results : mapping
        The content of results.json.
    sections : sequence of Section
        What the page is to have; of those without results it says that they are not finished.
    drawn : mapping
        The SVG of the figures by their names; a figure that is not there is left out.
    """
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=TITLE,
            introduction=introduction(results, sections),
            interruption=interruption(results, sections),
            sections=finished(results, sections),
            unfinished=unfinished(results, sections),
            nothing=NOTHING,
            provenance=results["provenance"],
            drawings={name: _inline(svg, name) for name, svg in drawn.items()},
            # What the template asks of the results.
            rendered=lambda template: text.rendered(template, results),
            rendered_rows=lambda table: text.rendered_rows(table, results),
            looked_up=lambda path: text.looked_up(results, path),
            verdict=lambda claim: text.verdict(claim, results),
            has_nothing=lambda claim: text.has_nothing(claim, results),
        )
    )


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("twonn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["as_json"] = functools.partial(json.dumps, ensure_ascii=False)
    return environment


def _inline(svg: str, name: str) -> dict[str, str]:
    """Return view box and content of an SVG file, with identifiers that no other figure has."""
    element = svg[svg.index("<svg") : svg.rindex("</svg>")]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'href="#', f'href="#{name}-', element)
    element = re.sub(r"url\(#", f"url(#{name}-", element)
    head, content = element.split(">", 1)
    view = re.search(r'viewBox="([^"]*)"', head)
    return {"view": view[1] if view else "", "content": Markup(content)}
