# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: restore_request
short_description: Read a restore request, and check it against its schema
version_added: 0.1.0
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
description:
  - Reads the YAML of a restore request and tells everything that is wrong with it. Needs no library beside Ansible's
    own.
  - A request that says it was written more than an hour from now is wrong, too.
  - The schema is the file C(restore_request.schema.json) of the role P(innodb.xtrabackup.restore#role), which reads
    requests with this filter. Use it where requests are to be looked at without any host.
options:
  _input:
    description:
      - The text of the request.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Check a request
  ansible.builtin.assert:
    that: read.problems == []
    fail_msg: "{{ read.problems | join('; ') }}"
  vars:
    read: "{{ lookup('ansible.builtin.file', 'requests/0001-shop.yml') | innodb.xtrabackup.restore_request }}"
"""

RETURN = r"""
_value:
  description: What was read.
  type: dict
  contains:
    problems:
      description: A sentence for each thing that is wrong. Empty for a request that may be used.
      type: list
      elements: str
      sample: ["backup: manifest_sha256 is missing"]
    request:
      description: The request as it is written; empty when something is wrong with it.
      type: dict
    sha256:
      description:
        - Digest of its content but for the description, whatever its layout and comments. Empty when something is
          wrong with it.
      type: str
"""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, Callable

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.request import DATE_REMEDY, date_problem
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils import json_schema, strict_yaml

MOST_PROBLEMS = 50  # that are told
SCHEMA = Path(__file__).resolve().parents[2] / "roles" / "restore" / "files" / "restore_request.schema.json"


def restore_request(text: str) -> dict[str, Any]:
    """The request in ``text``, with its problems and its digest."""
    try:
        document = strict_yaml.load(text)
    except ValueError as error:
        return {"problems": [f"it cannot be read as YAML: {error}"], "request": {}, "sha256": ""}
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = list(itertools.islice(json_schema.problems(document, schema), MOST_PROBLEMS))
    wrong = "" if found else date_problem(document["created"])
    if wrong:
        found.append(f"created: {wrong}. {DATE_REMEDY}")
    if found:
        return {"problems": found, "request": {}, "sha256": ""}
    return {"problems": [], "request": document, "sha256": content_digest(document)}


def content_digest(document: dict[str, Any]) -> str:
    """SHA-256 of all that has a meaning in a request. Defaults are not filled in: they may change, what was written
    does not."""
    content = {name: value for name, value in document.items() if name != "description"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function of each."""
        return {"restore_request": restore_request}
