# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guides and READMEs name only what exists: modules, their options, variables of roles and playbooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.innodb.xtrabackup.plugins.plugin_utils.remote_engine import KEEP_VARIABLE

PROJECT = Path(__file__).resolve().parents[3]
COLLECTION = "innodb.xtrabackup."
PAGES = sorted([*PROJECT.glob("docs/docsite/rst/*.rst"), PROJECT / "README.md", *PROJECT.glob("roles/*/README.md")])
_BLOCKS = {
    ".rst": re.compile(r"^\.\. code-block:: yaml(?:\+jinja)?\n(?: +:\w+: .*\n)*\n((?:(?: {3}.*)?\n)+)", re.MULTILINE),
    ".md": re.compile(r"^(?P<indent> *)```yaml\n(.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL),
}
_VARIABLE = re.compile(r"(?:-e |\bvars: |`)(xtrabackup_\w+)(?==|:)")


def documented(kind: str) -> dict[str, Any]:
    """What ansible-doc says about all modules or roles of the collection."""
    # ansible-test has the collection in its place already
    place = (
        PROJECT.parents[2] if PROJECT.parents[1].name == "ansible_collections" else PROJECT / ".build" / "collections"
    )
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(place)}
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.doc", "--json", "--type", kind, *names(kind)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    assert set(answer) == set(names(kind))
    return answer


def names(kind: str) -> list[str]:
    """The full names of the modules or roles that there are."""
    if kind == "role":
        return [COLLECTION + path.parents[1].name for path in PROJECT.glob("roles/*/tasks/main.yml")]
    return [COLLECTION + path.stem for path in PROJECT.glob("plugins/modules/[!_]*.py")]


@pytest.fixture(name="modules", scope="module")
def _modules() -> dict[str, dict[str, Any]]:
    return {name: entry["doc"]["options"] for name, entry in documented("module").items()}


@pytest.fixture(name="variables", scope="module")
def _variables() -> set[str]:
    """Variables of roles, and those that playbooks and the modules' actions read themselves."""
    found = {
        name
        for entry in documented("role").values()
        for entry_point in entry["entry_points"].values()
        for name in entry_point["options"]
    }
    for playbook in PROJECT.glob("playbooks/*.yml"):
        found.update(re.findall(r"\b(xtrabackup_\w+) \| default", playbook.read_text(encoding="utf-8")))
    return found | {KEEP_VARIABLE}


def blocks(page: Path) -> Iterator[Any]:
    """The YAML blocks of a page, parsed."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCKS[page.suffix].finditer(text):
        yield yaml.safe_load(textwrap.dedent(match.groups()[-1]))


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in ``node``."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(child)


def unknown_options(given: dict[str, Any], known: dict[str, Any], place: str) -> list[str]:
    """What is given in a task and is no option of its module, at any depth."""
    faults = []
    spelled = {**known, **{alias: spec for spec in known.values() for alias in spec.get("aliases", ())}}
    for name, value in given.items():
        if name not in spelled:
            faults.append(f"{place}: {name}")
            continue
        spec = spelled[name]
        if isinstance(value, str) and "choices" in spec and "{{" not in value and value not in spec["choices"]:
            faults.append(f"{place}: {name}: {value}")
        if isinstance(value, dict) and "suboptions" in spec:
            faults += unknown_options(value, spec["suboptions"], f"{place}: {name}")
    return faults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_option_that_a_page_gives_a_module_exists(page: Path, modules: dict[str, dict[str, Any]]) -> None:
    faults = []
    for block in blocks(page):
        for mapping in mappings(block):
            for name, given in mapping.items():
                if not isinstance(name, str) or not name.startswith(COLLECTION) or given is None:
                    continue
                assert name in modules, f"there is no module {name}"
                faults += unknown_options(given, modules[name], name)
            login = (mapping.get("module_defaults") or {}).get("group/innodb.xtrabackup.xtrabackup", {})
            faults += unknown_options(login, modules[COLLECTION + "xtrabackup_info"], "module_defaults")
    assert not faults


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_variable_that_a_page_sets_exists(page: Path, variables: set[str]) -> None:
    named = {name for block in blocks(page) for mapping in mappings(block) for name in mapping}
    named = {name for name in named if isinstance(name, str) and name.startswith("xtrabackup_")}
    named |= set(_VARIABLE.findall(page.read_text(encoding="utf-8")))
    assert not named - variables


def test_the_pages_have_tasks_and_variables_to_look_at() -> None:
    tasks = [name for page in PAGES for block in blocks(page) for mapping in mappings(block) for name in mapping]
    assert sum(1 for name in tasks if str(name).startswith(COLLECTION)) > 30
    assert sum(1 for name in tasks if str(name).startswith("xtrabackup_")) > 10


def test_an_option_that_does_not_exist_is_found(modules: dict[str, dict[str, Any]]) -> None:
    given = {"state": "unpacked", "listen": {"prot": 4444}, "sauce": "x"}
    assert unknown_options(given, modules[COLLECTION + "xbstream"], "task") == [
        "task: state: unpacked",
        "task: listen: prot",
        "task: sauce",
    ]


def test_the_threat_model_names_the_tests_that_there_are() -> None:
    page = (PROJECT / "docs/docsite/rst/guide_threats.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"``((?:integration_servers/)?test_\w+\.py)``", page))
    folders = {True: PROJECT / "tests", False: PROJECT / "tests" / "security"}
    assert [name for name in sorted(named) if not (folders["/" in name] / name).is_file()] == []
    assert {path.name for path in (PROJECT / "tests" / "security").glob("test_*.py")} <= named
