# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References to docs/internals lead to a heading there, and its pages name only modules that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
INTERNALS = PROJECT / "docs" / "internals"
ENGINE = PROJECT / "plugins" / "module_utils" / "engine"
PAGES = sorted(INTERNALS.glob("*.md"))
SEARCHED = ("plugins", "roles", "tests", "demo")
_LARGEST = 1 << 20  # bytes of a source file

_CITATION = re.compile(r"docs/internals/(?P<page>[\w./-]*\w)?(?:#(?P<anchor>[\w-]*\w))?")
_RETIRED = re.compile(r"\bformats? reference|\(formats,|\bthe design\b|\bsee interface\b", re.IGNORECASE)

_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<page>[^)#:\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
_CODE = re.compile(r"\*\*Code:\*\*(?P<modules>(?:\s*`[^`]+`[,.])+)")


def anchors(page: Path) -> list[str]:
    """The anchors of the headings in ``page``, as Git hosts make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)]


def joined(text: str) -> str:
    """``text`` with its lines joined, and without what comments begin a line with."""
    return re.sub(r"\s*\n[ \t]*(?:#:?)?\s*", " ", text)


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of every file that can have references, but for this one."""
    for folder in SEARCHED:
        for path in sorted((PROJECT / folder).rglob("*")):
            if not path.is_file() or path.is_symlink() or path == Path(__file__).resolve():
                continue
            name = path.relative_to(PROJECT)
            if "__pycache__" in name.parts or name.parts[1] == "output" or path.stat().st_size > _LARGEST:
                continue
            yield str(name), path.read_bytes().decode("utf-8", "ignore")


def fault_of(page: str | None, anchor: str | None) -> str | None:
    """What is wrong with a reference to ``anchor`` of ``page``; None when it leads to a heading."""
    if not page or not anchor:
        return "no page, or no anchor"
    if not (INTERNALS / page).is_file():
        return "no such page"
    return None if anchor in anchors(INTERNALS / page) else "no such heading"


def wrong_citations(text: str) -> list[str]:
    """The references in ``text`` that lead nowhere, each with what is wrong, and retired forms."""
    found = [
        f"{match.group()}: {fault}"
        for match in _CITATION.finditer(text)
        if (fault := fault_of(match["page"], match["anchor"]))
    ]
    return found + [f"{match.group()}: a retired form" for match in _RETIRED.finditer(joined(text))]


def test_every_reference_leads_to_a_heading() -> None:
    wrong = [f"{name}: {fault}" for name, text in sources() for fault in wrong_citations(text)]
    assert not wrong, "\n".join(wrong)


def test_there_are_references_to_look_at() -> None:
    assert sum(len(_CITATION.findall(text)) for _name, text in sources()) > 10


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("see docs/internals/formats-redo.md#no-such-block.", "no such heading"),
        ("see docs/internals/none.md#mysql-redo-blocks", "no such page"),
        ("(docs/internals/formats-redo.md)", "no anchor"),
        ("see docs/internals/", "no page"),
        ("# the formats\n    # reference 7.4", "retired"),
        ("prepare does it (formats, 4.9)", "retired"),
        ("as the timeline in the design; each step", "retired"),
        ("the record (see interface)", "retired"),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(text: str, fault: str) -> None:
    assert [fault in found for found in wrong_citations(text)] == [True]


def test_a_reference_that_leads_to_a_heading_is_right() -> None:
    assert wrong_citations("Layout: docs/internals/formats-redo.md#mysql-redo-blocks.") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_heading_is_there_once(page: Path) -> None:
    assert len(set(anchors(page))) == len(anchors(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    wrong = []
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / match["page"]).resolve() if match["page"] else page
        if not target.is_file() or (match["anchor"] and match["anchor"] not in anchors(target)):
            wrong.append(match.group())
    assert not wrong


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_every_section_has_a_source_and_names_modules_that_there_are(page: Path) -> None:
    for section in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        assert "**Source:**" in section, title
        found = _CODE.search(section)
        assert found, f"{page.name}, {title}: names no module"
        modules = re.findall(r"`([^`]+)`", found["modules"])
        assert [name for name in modules if not (ENGINE / name).is_file()] == [], title


def test_the_index_names_every_page() -> None:
    index = (INTERNALS / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index] == []
