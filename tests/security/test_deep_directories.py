# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are nested without end: what reads them refuses them by name, and what removes them does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsafeFile, XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.names import DEEPEST, fault_of
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import below, durable, file_states, trees
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import sync_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.held import Owner
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.backup_directory import (
    require_recoverable_files,
    walk_files,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import host_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.moved_backup import remove_moved
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import Host, tree


def dig(place: Path, depth: int) -> None:
    """Directories in each other, with a file in each; paths may be longer than the kernel takes."""
    place.mkdir(exist_ok=True)
    folder = os.open(place, os.O_RDONLY)
    for _level in range(depth):
        os.mkdir("d", dir_fd=folder)
        os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


@pytest.mark.parametrize("depth", [DEEPEST, 600, 3000])
def test_they_are_removed_whatever_their_depth(tmp_path: Path, depth: int) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_bytes(b"x")
    dig(tmp_path / "deep", depth)
    (tmp_path / "deep" / "link").symlink_to(victim)
    (tmp_path / "deep" / "d" / "link").symlink_to(victim)
    durable.remove_tree(tmp_path / "deep")
    assert sorted(os.listdir(tmp_path)) == ["victim"]
    assert tree(victim) == {"precious": b"x"}


@pytest.mark.parametrize("depth", [600, 3000])
def test_a_restore_refuses_them_by_name_with_nothing_touched(host: Host, depth: int) -> None:
    (host.datadir / "shop").mkdir(parents=True)
    (host.datadir / "ibdata1").write_bytes(b"old")
    for place in (".ssh", "shop/deep"):
        dig(host.datadir / place, depth)
        named = host.datadir / ("shop" if place == "shop/deep" else ".ssh")
        with pytest.raises(UnsafeFile, match="nested too deeply") as refused:
            host.restore(force=True)
        assert str(named) in refused.value.message
        assert str(named) in refused.value.remedy
        assert (host.datadir / "ibdata1").read_bytes() == b"old"
        assert host.leftovers() == []
        durable.remove_tree(host.datadir / place)
    assert host.restore(force=True).changed


def test_as_deep_as_it_may_be(host: Host) -> None:
    (host.datadir / ".ssh").mkdir(parents=True)
    (host.datadir / "ibdata1").write_bytes(b"old")
    dig(host.datadir / ".ssh", DEEPEST - 1)
    host.restore(force=True)
    assert (host.datadir / ".ssh" / "/".join(["d"] * (DEEPEST - 1))).is_dir()


def test_what_got_deep_after_it_was_looked_at_is_refused(host: Host) -> None:
    dig(host.datadir, 0)
    dig(host.datadir / ".ssh", 600)
    copies = host_files._Copies(Owner(0, 0, 0o700), host_files.Ownership())
    with below.Root(host.datadir) as root, pytest.raises(UnsafeFile, match="nested too deeply"):
        copies.copy(root, ".ssh", host.place / "copy")
    durable.remove_tree(host.place / "copy")


@pytest.mark.parametrize("depth", [600, 3000])
def test_a_backup_with_them_is_refused_by_name(tmp_path: Path, depth: int) -> None:
    (tmp_path / "backup").mkdir()
    dig(tmp_path / "backup" / "deep", depth)
    backup = tmp_path / "backup"
    for read in (
        lambda: list(walk_files(backup)),
        lambda: require_recoverable_files(backup, in_place=True),
        lambda: file_states.states_of(backup),
        lambda: trees.files_below(backup),
        lambda: sync_files(backup, 1),
    ):
        with pytest.raises(XtrabackupError, match=f"{backup / 'deep'}: directories in it are nested too deeply"):
            read()
    # what was moved leaves them behind, and says so
    assert any("not the backup's" in warning for warning in remove_moved(backup))
    durable.remove_tree(backup)


def test_names_that_are_that_deep_are_none_of_a_backup() -> None:
    assert fault_of("/".join(["d"] * (DEEPEST + 1))) is None
    assert fault_of("/".join(["d"] * (DEEPEST + 2))) == f"more than {DEEPEST} directories deep"
