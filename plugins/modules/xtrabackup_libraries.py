#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The libraries that the Python of the modules lacks. Runs before anything is installed: standard library only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_libraries
short_description: Find the Python libraries that a host lacks
version_added: 0.1.0
description:
  - Tells which libraries cannot be imported by the Python that runs the modules, or are too old. Changes nothing.
  - The role P(innodb.xtrabackup.install#role) installs them.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
attributes:
  diff_mode:
    support: none
options:
  libraries:
    description: What is needed.
    type: list
    elements: dict
    required: true
    suboptions:
      module:
        description: The name that is imported.
        type: str
        required: true
      pypi:
        description: Its name on PyPI.
        type: str
        required: true
      package:
        description: Its package in Debian.
        type: str
        default: ''
      minimum:
        description: The oldest version that is good.
        type: str
        default: '0'
"""

EXAMPLES = r"""
- name: Check that PyMySQL is there
  innodb.xtrabackup.xtrabackup_libraries:
    libraries:
      - module: pymysql
        pypi: PyMySQL
        minimum: "1.0.2"
  register: libraries
  failed_when: libraries.missing
"""

RETURN = r"""
missing:
  description: Those of O(libraries) that are missing or too old.
  returned: success
  type: list
  elements: dict
python:
  description: The program of the Python that runs the modules.
  returned: success
  type: str
  sample: /usr/bin/python3
"""

import importlib
import re
import sys
from importlib import metadata
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_SPEC: dict[str, Any] = {
    "libraries": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "module": {"type": "str", "required": True},
            "pypi": {"type": "str", "required": True},
            "package": {"type": "str", "default": ""},
            "minimum": {"type": "str", "default": "0"},
        },
    },
}


def version_numbers(version: str) -> list[int]:
    """Return the leading numbers of a version: ``2.3.post0`` is [2, 3]."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return [int(number) for number in match.group().split(".")] if match else []


def usable(library: dict[str, str]) -> bool:
    """Return True if ``library`` can be imported and is recent enough.

    Either what its package says counts or what it says itself: Debian's python3-xxhash is packaged as 0.0.0.
    """
    try:
        module = importlib.import_module(library["module"])
        versions = [metadata.version(library["pypi"]), str(getattr(module, "VERSION", ""))]
        return max(map(version_numbers, versions)) >= version_numbers(library["minimum"])
    except Exception:  # noqa: BLE001 - a broken library may raise anything while it is imported
        return False


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=_SPEC, supports_check_mode=True)
    missing = [library for library in module.params["libraries"] if not usable(library)]
    module.exit_json(changed=False, missing=missing, python=sys.executable)


if __name__ == "__main__":
    main()
