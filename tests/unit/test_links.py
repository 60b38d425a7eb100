"""Links between the pages of the repository lead to files and headings that are there."""

from __future__ import annotations

import re
from pathlib import Path

from repository import ROOT, tracked


def prose(page: Path) -> str:
    """Return a page without its blocks of code, in which brackets are no links."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    return [
        link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not link.startswith("http")
    ]


def anchors(page: Path) -> set[str]:
    """Return a page's headings as links name them: GitHub's rule."""
    headings = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def leads_nowhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_every_link_leads_somewhere() -> None:
    pages = tracked("*.md")
    dead = [
        (page.name, link) for page in pages for link in links(page) if leads_nowhere(page, link)
    ]
    assert not dead


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert set((ROOT / "docs").glob("*.md")) <= linked
