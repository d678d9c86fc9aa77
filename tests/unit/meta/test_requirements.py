# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection says it needs is the same wherever it is said: environment, bindep, pip, role, engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.libraries import LIBRARIES

PROJECT = Path(__file__).resolve().parents[3]
ENVIRONMENT = yaml.safe_load((PROJECT / "meta" / "execution-environment.yml").read_text(encoding="utf-8"))


def pip_names(name: str) -> set[str]:
    """The packages of a requirements file, without versions."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return {match[0].lower() for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))}


def bindep_names() -> dict[str, str]:
    """Debian packages of the file that the execution environment names; their profiles."""
    text = (PROJECT / ENVIRONMENT["dependencies"]["system"]).read_text(encoding="utf-8")
    return dict(re.findall(r"^(\S+) \[(.*)\]$", text, re.MULTILINE))


def role_libraries() -> list[dict[str, Any]]:
    defaults = yaml.safe_load((PROJECT / "roles/install/defaults/main.yml").read_text(encoding="utf-8"))
    libraries: list[dict[str, Any]] = defaults["xtrabackup_install_libraries"]
    return libraries


def test_the_execution_environment_names_files_that_are_there() -> None:
    assert ENVIRONMENT["version"] == 1
    assert (PROJECT / ENVIRONMENT["dependencies"]["python"]).is_file()
    assert bindep_names()


def test_a_controller_needs_ansible_core_and_nothing_else() -> None:
    assert pip_names(ENVIRONMENT["dependencies"]["python"]) == {"ansible-core"}
    runtime = yaml.safe_load((PROJECT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    requirements = (PROJECT / ENVIRONMENT["dependencies"]["python"]).read_text(encoding="utf-8")
    assert f"ansible-core{runtime['requires_ansible'].removesuffix('.0')}\n" in requirements
    galaxy = yaml.safe_load((PROJECT / "galaxy.yml").read_text(encoding="utf-8"))
    assert galaxy["dependencies"] == {}


def test_packages_for_managed_hosts_are_in_a_profile_of_their_own() -> None:
    assert set(bindep_names().values()) == {"platform:dpkg hosts"}


def test_libraries_have_the_same_packages_everywhere() -> None:
    engine = {(library.pypi.lower(), library.debian) for library in LIBRARIES.values()}
    assert {(library["pypi"].lower(), library["package"]) for library in role_libraries()} == engine
    assert set(bindep_names()) >= {package for _pypi, package in engine}
    assert pip_names("requirements-hosts.txt") >= {pypi for pypi, _package in engine}
    setup = (PROJECT / "tests/tools/packages-debian.txt").read_text(encoding="utf-8")
    assert {package for _pypi, package in engine} <= set(re.findall(r"^(\S+)", setup, re.MULTILINE))
