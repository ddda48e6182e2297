"""The report as one page of HTML that needs no other file, no network and no script."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence

from twonn.report.claims import (
    INTERRUPTED,
    INTRODUCTION,
    NOTHING,
    TITLE,
    Figure,
    Results,
    Said,
    Section,
    Table,
    has_nothing,
    looked_up,
    rows,
    said,
    typeset,
    unfinished,
    verdict,
)

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 48rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.55 system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 2.5rem 0 0.5rem;
  border-top: 1px solid #ccc; padding-top: 1.2rem; }
a { color: #00518a; }
nav ol { padding-left: 1.5rem; }
.claim { font-weight: 600; }
.verdict { border-left: 0.3rem solid #00724f; padding: 0.2rem 0.7rem; background: #eef7f3; }
.verdict.not { border-color: #b34700; background: #fdf1e8; }
.interrupted { border: 2px solid #b34700; padding: 0.5rem 0.8rem; font-weight: 600; }
code { font-family: "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: 0.85em;
  overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; }
figure svg { display: block; width: 100%; max-width: 34rem; height: auto; }
figcaption { font-size: 0.9rem; color: #444; }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible { outline: 2px solid #00518a; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; min-width: 3.5rem; }
th:first-child, td:first-child, th:last-child.text, td.text, th.text { text-align: left; }
td.text { white-space: normal; min-width: 12rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  figure, table, .verdict { break-inside: avoid; }
  figure svg { max-width: 11cm; }
  h2 { break-after: avoid; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.15rem 0.3rem; }
  th { min-width: 0; }
  nav { display: none; }
}
"""


def page(results: Results, sections: Sequence[Section], drawn: Mapping[str, str]) -> str:
    """Return the page: results and the SVG of the figures are all that goes into it."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{html.escape(TITLE)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>",
        f"<h1>{html.escape(TITLE)}</h1>",
        *(_paragraph(paragraph, results) for paragraph in INTRODUCTION),
    ]
    if results["interrupted"]:
        parts.append(_paragraph(INTERRUPTED, results, "interrupted"))
    parts += ["</header>", _contents(sections), "<main>"]
    parts += [_section(section, results, drawn) for section in sections]
    if missing := unfinished(results):
        listed = "; ".join(html.escape(section.title) for section in missing)
        parts.append(f'<section id="missing"><h2>Not finished</h2><p>{listed}.</p></section>')
    parts += [_provenance(results), "</main>\n</body>\n</html>"]
    return "\n".join(parts) + "\n"


def _contents(sections: Sequence[Section]) -> str:
    items = [(section.id, section.title) for section in sections] + [("provenance", "How it was computed")]
    links = "\n".join(f'<li><a href="#{name}">{html.escape(title)}</a></li>' for name, title in items)
    return f'<nav aria-label="Contents"><ol>\n{links}\n</ol></nav>'


def _section(section: Section, results: Results, drawn: Mapping[str, str]) -> str:
    parts = [
        f'<section id="{section.id}">\n<h2>{html.escape(section.title)}</h2>',
        f'<p class="claim">{html.escape(typeset(section.claim))}</p>',
    ]
    if answer := verdict(section, results):
        kind = "verdict" if looked_up(results, section.holds) else "verdict not"
        criterion = html.escape(typeset(section.criterion))
        words = f"This {_data(section.holds, results, answer)}. Criterion: {criterion}."
        parts.append(f'<p class="{kind}">{words}</p>')
    if has_nothing(section, results):
        parts.append(f"<p>{NOTHING}</p>")
    else:
        parts += [_paragraph(paragraph, results) for paragraph in section.paragraphs]
        parts += [_table(section.table, results, section.title)] if section.table else []
    parts += [_figure(one, results, drawn[one.name]) for one in section.figures if one.name in drawn]
    return "\n".join([*parts, "</section>"])


def _paragraph(template: str, results: Results, kind: str = "") -> str:
    opening = f'<p class="{kind}">' if kind else "<p>"
    return f"{opening}{_marked(said(template, results), results)}</p>"


def _marked(parts: Said, results: Results) -> str:
    """Return HTML in which every number is marked with its place in the results and its full value."""
    return "".join(
        html.escape(part) if isinstance(part, str) else _data(part.path, results, part.text) for part in parts
    )


def _data(path: str, results: Results, text: str) -> str:
    value = html.escape(json.dumps(looked_up(results, path), ensure_ascii=False), quote=True)
    return f'<data data-from="{path}" value="{value}">{html.escape(text)}</data>'


def _table(table: Table, results: Results, title: str) -> str:
    heads = "".join(
        f'<th scope="col"{_left(table, column)}>{html.escape(heading)}</th>'
        for column, (heading, _) in enumerate(table.columns)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_left(table, column)}>{_marked(cell, results)}</td>" for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows(table, results)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(title)}: table">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _left(table: Table, column: int) -> str:
    """Mark the columns of words."""
    return ' class="text"' if table.columns[column][1] in ("{.name}", "{.kind}") and column else ""


def _figure(figure: Figure, results: Results, svg: str) -> str:
    return (
        f'<figure id="figure-{figure.name}">\n{_inline(svg, figure)}\n'
        f"<figcaption>{_marked(said(figure.caption, results), results)}</figcaption>\n</figure>"
    )


def _inline(svg: str, figure: Figure) -> str:
    """Return an SVG file as an element of the page, with names that no other figure has."""
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{figure.name}-', element)
    element = re.sub(r'href="#', f'href="#{figure.name}-', element)
    element = re.sub(r"url\(#", f"url(#{figure.name}-", element)
    head, rest = element.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    label = f'role="img" aria-label="{html.escape(figure.alt, quote=True)}"'
    return f"<svg {names} {view[0] if view else ''} {label}>{rest}"


def _provenance(results: Results) -> str:
    entries = "\n".join(
        f"<tr><th scope='row' class='text'>{html.escape(name)}</th>"
        f'<td class="text">{html.escape(value)}</td></tr>'
        for name, value in results["provenance"].items()
    )
    return (
        '<section id="provenance">\n<h2>How it was computed</h2>\n'
        "<p>Every number above is marked with its place in <code>results.json</code>, beside this page; the "
        "tables from which the figures are drawn are the .csv files there. Fitted numbers are those of "
        "<code>twonn.fit_rate</code>, closed forms those of <code>twonn.asymptote</code>.</p>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Versions">'
        f"<table><tbody>\n{entries}\n</tbody></table></div>\n</section>"
    )
