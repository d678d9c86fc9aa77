# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles: defaults, argument specs and READMEs know the same variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parents[1] for path in PROJECT.glob("roles/*/tasks/main.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def specs(role: Path) -> dict[str, dict[str, Any]]:
    """The variables of a role as its argument specs have them, those of all entry points."""
    entry_points = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: spec for entry in entry_points.values() for name, spec in entry["options"].items()}


def defaults(role: Path) -> dict[str, Any]:
    return load(role / "defaults" / "main.yml") or {}


@pytest.fixture(name="role", params=ROLES, ids=lambda role: role.name)
def _role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_entry_point_has_its_tasks(role: Path) -> None:
    entry_points = set(load(role / "meta" / "argument_specs.yml")["argument_specs"])
    assert entry_points <= {path.stem for path in (role / "tasks").glob("*.yml")}


def test_every_default_is_in_the_argument_specs(role: Path) -> None:
    assert not set(defaults(role)) - set(specs(role))


def test_every_variable_of_the_argument_specs_has_a_default_or_is_required(role: Path) -> None:
    optional = {name for name, spec in specs(role).items() if not spec.get("required")}
    assert not optional - set(defaults(role))


def test_a_required_variable_is_named_where_the_defaults_are(role: Path) -> None:
    text = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
    required = {name for name, spec in specs(role).items() if spec.get("required")}
    assert required == required & set(re.findall(r"^# (xtrabackup_\w+):", text, re.MULTILINE))
    assert not required & set(defaults(role))


def test_the_argument_specs_tell_the_defaults_as_they_are(role: Path) -> None:
    reported = {name: spec["default"] for name, spec in specs(role).items() if "default" in spec}
    real = {name: value for name, value in defaults(role).items() if name in reported and "{{" not in str(value)}
    assert real == {name: reported[name] for name in real}
    # what is computed has no default that could be told
    assert not {name for name in reported if "{{" in str(defaults(role)[name])}


def test_every_variable_says_what_it_is(role: Path) -> None:
    silent = [name for name, spec in specs(role).items() if not spec.get("description") or "type" not in spec]
    assert not silent
    secret = {name for name in specs(role) if name.endswith("_password")}
    assert all(specs(role)[name].get("no_log") for name in secret)


def test_the_readme_has_a_row_for_every_variable_and_no_other(role: Path) -> None:
    rows = [line for line in (role / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(xtrabackup_\w+)`", row.split("|")[1])}
    assert named == set(specs(role))


def test_a_readme_begins_with_the_full_name_of_its_role(role: Path) -> None:
    assert (role / "README.md").read_text(encoding="utf-8").startswith(f"# innodb.xtrabackup.{role.name}\n")
