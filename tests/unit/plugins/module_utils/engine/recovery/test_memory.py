# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory recovery gets, on hosts and in control groups of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.memory import (
    available_memory,
    choose_buffer_pool,
)

MIB = 1 << 20
GIB = 1 << 30


def test_auto_holds_the_redo_and_a_little() -> None:
    assert 200 * MIB <= choose_buffer_pool(200 * MIB, "auto", 64 * GIB) <= 300 * MIB


def test_auto_never_takes_more_than_half_of_what_is_free() -> None:
    assert choose_buffer_pool(20 * GIB, "auto", 4 * GIB) == 2 * GIB


def test_auto_gives_little_redo_the_servers_own_default() -> None:
    assert choose_buffer_pool(16 << 10, "auto", 64 * GIB) == 128 * MIB


def test_too_little_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidOption, match=r"32\.0 MiB.*40\.0 MiB"):
        choose_buffer_pool(1 * GIB, "auto", 40 * MIB)


@pytest.mark.parametrize(
    ("text", "expected"), [("256M", 256 * MIB), ("1GiB", GIB), ("25%", GIB), ("64000001", 61 * MIB)]
)
def test_a_size_or_share_is_taken_as_it_is(text: str, expected: int) -> None:
    assert choose_buffer_pool(10 * GIB, text, 4 * GIB) == expected


@pytest.mark.parametrize("text", ["8G", "1M", "0%", "much"])
def test_a_size_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption):
        choose_buffer_pool(1, text, 4 * GIB)


class Host:
    """A made-up /proc and /sys/fs/cgroup."""

    def __init__(self, place: Path, available: int, membership: str) -> None:
        self.proc, self.cgroup = place / "proc", place / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroup.mkdir()
        (self.proc / "meminfo").write_text(
            f"MemTotal: 99999999 kB\nMemAvailable: {available >> 10} kB\nBuffers: 1 kB\n"
        )
        (self.proc / "self" / "cgroup").write_text(membership)

    def group(self, path: str, **files: object) -> None:
        directory = self.cgroup / path
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name.replace("__", ".")).write_text(f"{content}\n")

    def available(self) -> int:
        return available_memory(self.proc, self.cgroup)


def test_without_control_groups_it_is_what_the_host_has(tmp_path: Path) -> None:
    assert Host(tmp_path, 8 * GIB, "").available() == 8 * GIB


def test_version_2_limits_by_the_tightest_group_on_the_way_up(tmp_path: Path) -> None:
    host = Host(tmp_path, 8 * GIB, "0::/a/b\n")
    host.group("a", memory__max=2 * GIB, memory__current=1536 * MIB, memory__stat="anon 5\ninactive_file 0")
    host.group("a/b", memory__max="max", memory__current=100 * MIB)
    assert host.available() == 512 * MIB


def test_page_cache_of_the_group_counts_as_free(tmp_path: Path) -> None:
    host = Host(tmp_path, 8 * GIB, "0::/a\n")
    host.group("a", memory__max=2 * GIB, memory__current=2 * GIB, memory__stat=f"anon 5\ninactive_file {GIB}")
    assert host.available() == GIB


def test_version_1_limits_too_and_no_limit_is_none(tmp_path: Path) -> None:
    host = Host(tmp_path, 8 * GIB, "4:cpu,memory:/job\n0::/\n")
    host.group("memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5 * GIB)
    host.group(
        "memory/job",
        memory__limit_in_bytes=GIB,
        memory__usage_in_bytes=GIB,
        memory__stat=f"inactive_file 1\ntotal_inactive_file {256 * MIB}",
    )
    assert host.available() == 256 * MIB


def test_in_a_container_the_mounted_root_is_the_group(tmp_path: Path) -> None:
    host = Host(tmp_path, 8 * GIB, "0::/docker/0123\n")
    host.group("", memory__max=GIB, memory__current=0)
    assert host.available() == GIB


def test_a_group_above_its_limit_leaves_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, 8 * GIB, "0::/a\n")
    host.group("a", memory__max=GIB, memory__current=2 * GIB)
    assert host.available() == 0


def test_this_host_has_an_answer() -> None:
    assert available_memory() > 0
