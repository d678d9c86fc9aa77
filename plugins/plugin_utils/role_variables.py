# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of roles and playbooks, as their argument specs name them, and names that are nearly one of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load

_ROLES = Path(__file__).resolve().parents[2] / "roles"
# of the playbooks, and facts that the roles set
_OTHERS = ("xtrabackup_become", "xtrabackup_hosts", "xtrabackup_install_ready", "xtrabackup_keep_engine",
           "xtrabackup_replica_result",
           "xtrabackup_serial")  # fmt: skip
_ALIKE = 0.85  # of 1; below it, a name is somebody's own


def role_variables() -> frozenset[str]:
    """Every variable that a role or a playbook of the collection reads, or sets."""
    names = set(_OTHERS)
    for path in _ROLES.glob("*/meta/argument_specs.yml"):
        for entry_point in yaml_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            names.update(entry_point.get("options", {}))
    return frozenset(names)


def misspelt(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of ``names`` that nothing reads, each with the known variable that it is most like; others are left out."""
    known = role_variables()
    for name in sorted(set(names) - known):
        nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_ALIKE)
        if nearest:
            yield name, nearest[0]
