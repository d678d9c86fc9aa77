# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore requests as they are written: what is accepted, what is not, and that the published schema says the same."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.filter.restore_request import SCHEMA, FilterModule, restore_request
from ansible_collections.innodb.xtrabackup.plugins.plugin_utils import json_schema, strict_yaml

PUBLISHED = json.loads(SCHEMA.read_text(encoding="utf-8"))
REFERENCE = jsonschema.Draft202012Validator(PUBLISHED)
DIGEST = "5b1c0dbd0d54a3c4c4ab0d1f2a8c2bb1b1a5a0e1f7a4a3c2b1a0918273645546"

SMALL = f"""
format: 1
id: 2026-11-28-shop
created: 2026-11-28T10:00:00Z
hosts: [db1]
backup:
  path: /srv/backups/full.xbstream
  manifest_sha256: {DIGEST}
"""
LARGE = f"""
---
# a comment
format: 1
id: shop.2
description: |
  The table of prices was emptied at 9:48.
  One line more.
created: 2026-11-28T10:00:00Z
expires: 2026-12-05T00:00:00Z
hosts:
  - db1
  - db-2.example.org
backup:
  path: /srv/backups/full.xbstream
  manifest_sha256: {DIGEST}
  prepared_dir: /srv/restore
  decrypt: {{key_file: /etc/xtrabackup/key}}
  keyring_file: /var/lib/mysql-keyring/keyring
options:
  replace: true
  keep_replaced: true
  method: move
  use_memory: 40%
  parallel: 4
"""


def document(text: str = LARGE) -> dict[str, Any]:
    found = strict_yaml.load(text)
    assert isinstance(found, dict)
    return found


def verdicts(value: Any) -> tuple[bool, bool]:
    """Whether ours and the reference accept ``value``."""
    return not list(json_schema.problems(value, PUBLISHED)), REFERENCE.is_valid(value)


def test_the_schema_is_a_schema_and_says_what_each_field_is() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)

    def walk(schema: dict[str, Any]) -> None:
        assert schema["description"]
        for part in schema.get("properties", {}).values():
            walk(part)
        assert "properties" not in schema or schema["additionalProperties"] is False

    walk(PUBLISHED)


@pytest.mark.parametrize("text", [SMALL, LARGE])
def test_good_requests_are_read_as_they_are_written(text: str) -> None:
    read = restore_request(text)
    assert read["problems"] == []
    assert read["request"] == document(text)
    assert read["request"]["created"] == "2026-11-28T10:00:00Z"
    assert verdicts(read["request"]) == (True, True)
    assert FilterModule().filters()["restore_request"] is restore_request


def test_the_digest_is_that_of_the_meaning() -> None:
    digest = restore_request(LARGE)["sha256"]
    rearranged = yaml.safe_dump(document(), sort_keys=True, default_style='"').replace('!!int "1"', "1")
    same = [
        LARGE.replace("emptied", "dropped"),
        LARGE.replace("# a comment", "# another"),
        LARGE.replace("hosts:\n  - db1\n  - db-2.example.org", 'hosts: [db1, "db-2.example.org"]'),
        rearranged.replace('!!int "4"', "4").replace('!!bool "true"', "true"),
    ]
    assert {restore_request(text)["sha256"] for text in same} == {digest}
    changes = [("parallel: 4", "parallel: 3"), ("- db1\n", "- db3\n"), ("replace: true", "replace: false")]
    for before, after in changes:
        other = restore_request(LARGE.replace(before, after, 1))
        assert not other["problems"]
        assert other["sha256"] != digest


@pytest.mark.parametrize(
    "before, after, reported",
    [
        ("format: 1", "format: 2", "format: 2 is not 1"),
        ("format: 1", "format: true", "format: true is not 1"),
        ("id: shop.2", "id: ../shop", "id: "),
        ("id: shop.2", "id: 12", "id: 12 is not text"),
        ("id: shop.2\n", "", "id is missing"),
        ("id: shop.2", 'id: "shop\\n"', "id: "),
        ("T10:00:00Z", "T10:00:00+01:00", '"2026-11-28T10:00:00+01:00" does not match'),
        ("2026-11-28T", "2026-13-28T", "created: "),
        ("  - db1\n", "  - db*\n", "hosts[0]: "),
        ("  - db1\n", "  - '!db1'\n", "hosts[0]: "),
        ("  - db-2.example.org", "  - db1", 'hosts: holds "db1" twice'),
        (DIGEST, DIGEST[:-1], "backup.manifest_sha256: "),
        (DIGEST, DIGEST.upper(), "backup.manifest_sha256: "),
        ("  path: /srv/backups/full.xbstream\n", "", "backup: path is missing"),
        ("path: /srv", "path: srv", "backup.path: "),
        ("prepared_dir: /srv/restore", "prepared_dir: '/srv/{{ x }}'", "backup.prepared_dir: "),
        ("emptied", "{{ lookup('pipe', 'id') }}", "description: "),
        ("key_file: /etc/xtrabackup/key", "key: secret", 'backup.decrypt: "key" is unknown; known are key_file'),
        ("  replace: true", "  force: true", 'options: "force" is unknown; known are replace, keep_replaced'),
        ("replace: true", "replace: 1", "options.replace: 1 is not true or false"),
        ("method: move", "method: link", 'options.method: "link" is none of "copy", "move"'),
        ("use_memory: 40%", "use_memory: all", "options.use_memory: "),
        ("parallel: 4", "parallel: 0", "options.parallel: 0 is less than 1"),
        ("parallel: 4", "parallel: 65", "options.parallel: 65 is more than 64"),
        ("parallel: 4", "parallel: 1.5", "options.parallel: 1.5 is not a number"),
        ("format: 1", "format: 1\nextra: 1", '"extra" is unknown'),
    ],
)
def test_bad_requests_are_refused_by_name_and_by_the_published_schema_too(
    before: str, after: str, reported: str
) -> None:
    text = LARGE.replace(before, after, 1)
    assert text != LARGE
    read = restore_request(text)
    assert any(reported in problem for problem in read["problems"]), read["problems"]
    assert (read["request"], read["sha256"]) == ({}, "")
    assert verdicts(document(text)) == (False, False)


@pytest.mark.parametrize(
    "text, reported",
    [
        ("", "null is not a mapping"),
        ("[]", "[] is not a mapping"),
        ("id: one\nid: two\n", "line 2, column 1: 'id' stands twice"),
        ("1: one\n", "a key that is no text"),
        ("a: &x 1\nb: *x\n", "aliases are not accepted"),
        ("a: !vault x\n", "could not determine a constructor"),
        ("a: [\n", "cannot be read as YAML"),
        ("---\na: 1\n---\nb: 1\n", "cannot be read as YAML"),
        ("a: \x00", "cannot be read as YAML"),
        ("[" * 2000, "cannot be read as YAML"),
    ],
)
def test_what_is_no_request_at_all_is_told(text: str, reported: str) -> None:
    problems = restore_request(text)["problems"]
    assert any(reported in problem for problem in problems), problems


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70) | st.sampled_from([1.0, 2.5]) | st.text(max_size=4)
    | st.sampled_from(["/srv/x", "db1", "copy", "auto", "1G", DIGEST, "2026-11-28T10:00:00Z", "id\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "x"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below ``value``."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    found = []
    for key, item in pairs:
        found.append((value, key))
        if isinstance(item, (dict, list)):
            found += _places(item)
    return found


@given(st.data())
def test_ours_and_the_reference_agree_on_whatever_is_written(data: st.DataObject) -> None:
    value = copy.deepcopy(document(data.draw(st.sampled_from([SMALL, LARGE]))))
    for _step in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(_places(value)))
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            container[key] = data.draw(_VALUES)
        elif change == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[data.draw(st.sampled_from(["x", "path", "options", "expires"]))] = data.draw(_VALUES)
        else:
            container.append(data.draw(_VALUES))
        if not _places(value):
            break
    ours, theirs = verdicts(value)
    assert ours == theirs


def test_a_schema_that_says_more_than_is_checked_is_an_error() -> None:
    for schema in ({"maxLength": 3}, {"additionalProperties": True}, {"properties": {"a": {"format": "date"}}}):
        with pytest.raises(ValueError, match="JSON schema"):
            list(json_schema.problems({"a": "x"}, schema))
