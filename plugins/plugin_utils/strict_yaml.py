# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML that is read as JSON would be: a time stays text, a key that stands twice is an error, keys are text.

What people see is what is read: characters that reorder a line, and line ends that only YAML knows, are errors.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

MAX_SIZE = 1 << 20  # characters
MAX_VALUES = 20000  # mappings, lists, keys and values
MAX_DEPTH = 20
_MAX_NUMBER = 40  # characters
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_INTEGER, _REAL = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
# Unicode's Bidi_Control, and the line ends of YAML that are none to Git and to most editors
_UNSEEN = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\x85\u2028\u2029]|\r(?!\n)")


class _Loader(yaml.SafeLoader):
    """SafeLoader without timestamps, aliases (which can make much of little), repeated keys and endless numbers."""

    _values = _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refused("aliases are not accepted")
        self._values += 1
        self._depth += 1
        if self._values > MAX_VALUES:
            raise self._refused(f"more than {MAX_VALUES} values")
        if self._depth > MAX_DEPTH:
            raise self._refused(f"nested more than {MAX_DEPTH} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _refused(self, why: str) -> yaml.composer.ComposerError:
        return yaml.composer.ComposerError(None, None, why, self.get_mark())

    def construct_number(self, node: Any) -> Any:
        """A number that JSON has, too."""
        if len(node.value) > _MAX_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, "a number of too many digits", node.start_mark)
        if node.tag == _INTEGER:
            return self.construct_yaml_int(node)
        value = self.construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(None, None, "a number that is out of range", node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_constructor(_INTEGER, _Loader.construct_number)
_Loader.add_constructor(_REAL, _Loader.construct_number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> Any:
    """The one document in ``text``; raises ValueError that says where it cannot be read."""
    if len(text) > MAX_SIZE:
        raise ValueError(f"it has {len(text)} characters, and {MAX_SIZE} are the most")
    unseen = _UNSEEN.search(text)
    if unseen:
        line, column = text.count("\n", 0, unseen.start()) + 1, unseen.start() - text.rfind("\n", 0, unseen.start())
        raise ValueError(f"line {line}, column {column}: the character U+{ord(unseen[0]):04X} is not accepted")
    try:
        return yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error
    except (AttributeError, IndexError, KeyError) as error:  # what PyYAML raises for "!!bool x" and "!!timestamp x"
        raise ValueError(f"a value does not fit its tag: {error}") from error
