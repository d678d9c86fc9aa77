# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL's GTID sets have the laws of sets, and are written as the server writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server.mysql.gtid_sets import GtidSet

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4c11fa47-71ca-11e1-9e33-c80aa9429562"

interval = st.tuples(st.integers(1, 30), st.integers(1, 30)).map(lambda pair: f"{min(pair)}-{max(pair)}")
part = st.tuples(st.sampled_from([A, B]), st.sampled_from(["", ":tag", ":other"]), st.lists(interval, min_size=1))
sets = st.lists(part.map(lambda found: f"{found[0]}{found[1]}:" + ":".join(found[2])), max_size=4).map(
    lambda parts: GtidSet.parse(",".join(parts))
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        (" ,\n", ""),
        (f"{A}:1", f"{A}:1"),
        (f"{A}:1-3:4", f"{A}:1-4"),
        (f"{A}:7:1-3:5", f"{A}:1-3:5:7"),
        (f"{A}:5-3", ""),
        (f"{B}:1,\n{A.upper()}:2-2", f"{A}:2,{B}:1"),
        (f"{A}:1,{A}:2", f"{A}:1-2"),
        (f"{A}:1-2:tag:1:3,{A}:Tag:2", f"{A}:1-2:tag:1-3"),
        (f"{A}:zag:9:bag:8", f"{A}:bag:8:zag:9"),
    ],
)
def test_it_is_written_as_the_server_writes_it(text: str, normal: str) -> None:
    assert str(GtidSet.parse(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "0-1-5",
        A,
        f"{A}:",
        f"{A}:0",
        f"{A}:1-",
        f"{A}:-1",
        f"{A}:tag",
        f"{A}:1:tag",
        f"{A}:tag:other:1",
        f"{A}:1:9tag:1",
        f"{A[:-1]}:1",
        f"{A}:9223372036854775807",
        f"{A}:1'; DROP TABLE t",
    ],
)
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no|neither|without"):
        GtidSet.parse(text)


@given(sets, sets, sets)
def test_the_laws_of_sets_hold(one: GtidSet, other: GtidSet, third: GtidSet) -> None:
    assert GtidSet.parse(str(one)) == one
    assert one | other == other | one
    assert (one | other) | third == one | (other | third)
    assert (one - other) | (one - (one - other)) == one
    assert (one - other) - other == one - other
    assert (one | other) - other == one - other
    assert one - one == GtidSet()
    assert one <= one | other
    assert (one <= other) == (one | other == other)
    assert bool(one) == (str(one) != "")


def test_what_a_difference_leaves_are_the_numbers_that_only_one_has() -> None:
    left = GtidSet.parse(f"{A}:1-10,{B}:5") - GtidSet.parse(f"{A}:1-2:5:9-12,{A}:tag:1-10")
    assert str(left) == f"{A}:3-4:6-8,{B}:5"
    assert left.uuids == {A, B}
