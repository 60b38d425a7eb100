"""One HTML page in one file: no network, no scripts, readable on paper and in the dark.

It is built as a tree, so every text is escaped where it is written out, whoever it comes from.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fastfeed.pictures.style import not_saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --muted: #5a5a5a; --line: #cfcfcf;
        --paper: #ffffff; --box: #f3f4f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --muted: #a8a8a8; --line: #464646; --paper: #16181b; --box: #24272c; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.lead { font-size: 1.1rem; } p.warning { border-left: .3rem solid #c0562f; padding-left: .8rem; }
pre { background: var(--box); padding: .8rem 1rem; border-radius: .3rem; white-space: pre-wrap;
      overflow-wrap: anywhere; }
div.wide { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .8rem .25rem 0; text-align: right;
         vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
table.pairs :is(th, td) { text-align: left; white-space: normal; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; break-inside: avoid; }
figure svg { background: #ffffff; border: 1px solid var(--line); border-radius: .3rem;
             display: block; max-width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: .9rem; margin-top: .4rem; }
@media print {
  :root { --ink: #000000; --muted: #444444; --line: #999999; --paper: #ffffff; --box: #f3f4f6; }
  body { font-size: 10pt; margin: 0; max-width: none; } tr { break-inside: avoid; }
  table { font-size: 8pt; } pre { font-size: 9pt; }
  h2 { break-after: avoid; } figure svg { border: none; }
}
"""
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
NOT_OF_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Page:
    """A page that grows from top to bottom.

    Parameters
    ----------
    title : str
    """

    def __init__(self, title: str) -> None:
        self._html = Element("html", lang="en")
        head = SubElement(self._html, "head")
        SubElement(head, "meta", charset="utf-8")
        SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        SubElement(head, "title").text = title
        SubElement(head, "style").text = STYLE
        self._body = SubElement(self._html, "body")
        self._pictures = 0
        self._add("h1", title)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._add("h2", text)

    def text(self, text: str, kind: str = "") -> None:
        """Add a paragraph: ``"lead"`` is larger, ``"warning"`` is marked."""
        self._add("p", text, kind)

    def code(self, text: str) -> None:
        """Add lines to be copied."""
        self._add("pre", text)

    def table(self, caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table; its first column is names, all others are numbers."""
        table = self._table(caption)
        top = SubElement(SubElement(table, "thead"), "tr")
        for name in head:
            SubElement(top, "th", scope="col").text = name
        body = SubElement(table, "tbody")
        for row in rows:
            line = SubElement(body, "tr")
            for cell in row:
                SubElement(line, "td").text = cell

    def pairs(self, caption: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Add a table of names and what belongs to each."""
        body = SubElement(self._table(caption, "pairs"), "tbody")
        for name, value in pairs:
            line = SubElement(body, "tr")
            SubElement(line, "th", scope="row").text = name
            SubElement(line, "td").text = value

    def picture(self, picture: Figure, title: str, caption: str) -> None:
        """Add a picture as part of the page."""
        self._pictures += 1
        figure = SubElement(self._body, "figure")
        drawn = inline(picture, f"p{self._pictures}-")
        drawn.attrib |= {"role": "img", "aria-label": title}
        figure.append(drawn)
        SubElement(figure, "figcaption").text = caption

    def __str__(self) -> str:
        """Return the page as HTML."""
        written = ElementTree.tostring(self._html, "unicode", "html")
        return "<!DOCTYPE html>\n" + NOT_OF_HTML.sub("\N{REPLACEMENT CHARACTER}", written) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises
        ------
        NotSaved
            The file cannot be written.
        """
        try:
            Path(path).write_text(str(self), "utf-8", "backslashreplace")
        except OSError as error:
            raise not_saved(path, error) from error

    def _add(self, tag: str, text: str, kind: str = "") -> None:
        SubElement(self._body, tag, {"class": kind} if kind else {}).text = text

    def _table(self, caption: str, kind: str = "") -> Element:
        wide = SubElement(self._body, "div", {"class": "wide"})  # scrolls by itself on a phone
        table = SubElement(wide, "table", {"class": kind} if kind else {})
        SubElement(table, "caption").text = caption
        return table


def inline(picture: Figure, prefix: str) -> Element:
    """Return a picture as an element of an HTML page.

    Parameters
    ----------
    prefix : str
        For the names inside: they must differ from those of other pictures of the same page.
    """
    written = io.StringIO()
    picture.savefig(written, format="svg", metadata=NO_METADATA)
    svg = ElementTree.fromstring(written.getvalue())  # drops comments, which hold texts unescaped
    for element in svg.iter():
        element.tag = element.tag.removeprefix(SVG)  # as HTML has it
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            element.set("href" if name == LINK else name, _renamed(name, value, prefix))
    return svg


def _renamed(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == LINK:
        return value.replace("#", f"#{prefix}", 1)
    return value.replace("url(#", f"url(#{prefix}")
