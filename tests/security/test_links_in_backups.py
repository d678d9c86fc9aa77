# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links in a backup directory, planted by whoever can write there: root follows none of them out of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import UnsafeFile, XtrabackupError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.copying import Ownership
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import read, verify_directory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery.mariadb.ddl_files import apply_ddl_files
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import place
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.plan import RestoreOptions, plan_restore
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore.preview import preview
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.compare import directory_manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import write_backup
from ansible_collections.innodb.xtrabackup.tests.unit.plugins.module_utils.engine.restore.conftest import (
    DATA,
    Host,
    tree,
)

INTRUDER = 65534
Plant = Callable[[Host], None]


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def link_of_a_file(host: Host) -> None:
    """The file itself is elsewhere, with the content that the manifest names."""
    (host.backup / "shop/t.ibd").rename(host.place / "outside/t.ibd")
    (host.backup / "shop/t.ibd").symlink_to(host.place / "outside/t.ibd")


def link_of_a_directory(host: Host) -> None:
    (host.backup / "shop").rename(host.place / "outside/shop")
    (host.backup / "shop").symlink_to(host.place / "outside/shop")


def fifo(host: Host) -> None:
    (host.backup / "shop/t.ibd").unlink()
    os.mkfifo(host.backup / "shop/t.ibd")


def hard_link(host: Host) -> None:
    """Made by the owner of the backup, to a file that is root's."""
    (host.backup / "shop/t.ibd").rename(host.place / "outside/t.ibd")
    os.chown(host.backup, INTRUDER, -1)
    (host.backup / "shop/t.ibd").hardlink_to(host.place / "outside/t.ibd")


PLANTS = [link_of_a_file, link_of_a_directory, fifo, hard_link]


@pytest.fixture(name="plant", params=PLANTS)
def _plant(request: pytest.FixtureRequest, host: Host) -> str:
    (host.place / "outside").mkdir()
    request.param(host)
    return str(request.param.__name__)


def outside(host: Host) -> dict[str, tuple[int, int, bytes]]:
    """Owner, links and content of what the links lead to."""
    found = {}
    for path in (host.place / "outside").rglob("*"):
        if path.is_file():
            found[path.name] = (path.stat().st_uid, path.stat().st_mode, path.read_bytes())
    return found


@pytest.mark.parametrize("method", ["copy", "move"])
def test_a_restore_refuses_by_name_and_touches_nothing_outside(host: Host, plant: str, method: str) -> None:
    before = outside(host)
    with pytest.raises(XtrabackupError, match="shop"):
        host.restore(method=method, ownership=Ownership())
    assert outside(host) == before
    assert tree(host.datadir) == {}
    if plant == "link_of_a_file":
        assert os.readlink(host.backup / "shop/t.ibd") == str(host.place / "outside/t.ibd")


def test_a_backup_without_a_manifest_is_never_silently_without_a_database(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    host.make_backup(host.place / "stock", "stock", with_manifest=False)
    (host.place / "stock/shop").rename(host.place / "outside")
    (host.place / "stock/shop").symlink_to(host.place / "outside")
    with pytest.raises(UnsafeFile, match="shop is a symbolic link"):
        host.restore(host.place / "stock")
    assert tree(host.datadir) == {}


def test_data_with_databases_on_another_disk_are_replaced_like_others(host: Host) -> None:
    host.restore()
    (host.datadir / "mysql").rename(host.place / "disk")
    (host.datadir / "mysql").symlink_to(host.place / "disk")
    host.make_backup(host.place / "second", "second")
    options = RestoreOptions(force=True)
    before, _after = preview(plan_restore(host.place / "second", host.layout(), options), options)
    assert before["bytes"] > 0
    host.restore(host.place / "second", force=True)
    assert not (host.datadir / "mysql").is_symlink()
    assert os.listdir(host.place / "disk") == ["user.frm"]


def test_a_link_that_is_planted_after_the_look_is_not_followed_either(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (host.place / "outside").mkdir()
    rename = place._Restore._renamed

    def swapped(run: place._Restore, placement: place.Placement) -> bool:
        if placement.name.startswith("shop/") and not (host.backup / "shop").is_symlink():
            link_of_a_directory(host)
        return rename(run, placement)

    monkeypatch.setattr(place._Restore, "_renamed", swapped)
    with pytest.raises(UnsafeFile, match="shop is a symbolic link"):
        host.restore(method="move")
    assert set(outside(host)) == {"t.ibd", "t.frm"}
    assert tree(host.datadir) == {}


def test_a_moved_file_with_other_names_is_copied(host: Host) -> None:
    (host.place / "other").hardlink_to(host.backup / "shop/t.ibd")
    host.restore(method="move")
    assert (host.datadir / "shop/t.ibd").stat().st_nlink == 1
    assert (host.place / "other").read_bytes() == DATA["shop/t.ibd"]
    assert not host.backup.exists()


def test_packing_refuses_by_name(host: Host, plant: str) -> None:
    before = outside(host)
    with pytest.raises(XtrabackupError, match="shop"):
        create_archive(host.backup, host.place / "archive")
    assert not (host.place / "archive").exists()
    assert outside(host) == before


def test_a_backup_with_links_is_not_the_one_that_is_wanted(host: Host, plant: str) -> None:
    manifest = read(host.backup)
    if plant != "hard_link":
        assert directory_manifest(host.backup) is None
    with pytest.raises(XtrabackupError, match="shop"):
        verify_directory(host.backup, manifest, digests=False)
        create_archive(host.backup, host.place / "archive")


def packed(directory: Path) -> None:
    write_backup(PackedDirectorySink(directory, compress=Compression("zstd")), {"ibdata1": b"s", "shop/t.ibd": b"t"})


def test_unpacking_in_place_writes_and_removes_nothing_outside(tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "packed", tmp_path / "elsewhere"
    packed(directory)
    (directory / "shop").rename(elsewhere)
    (elsewhere / "t.ibd").write_bytes(b"precious")
    (directory / "shop").symlink_to(elsewhere)
    before = tree(elsewhere)
    with pytest.raises(XtrabackupError):
        unpack_directory(directory, UnpackOptions(Decoding(), remove_original=True), Progress("unpack"))
    assert tree(elsewhere) == before


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_unpacking_in_place_reads_no_link_and_waits_for_nothing(tmp_path: Path, kind: str) -> None:
    directory = tmp_path / "packed"
    packed(directory)
    name = directory / "shop/t.ibd.zst"
    name.rename(tmp_path / "outside")
    os.mkfifo(name) if kind == "fifo" else name.symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafeFile, match=r"shop/t\.ibd\.zst is"):
        unpack_directory(directory, UnpackOptions(Decoding()), Progress("unpack"))


@pytest.mark.parametrize("note", ["t.del", "t.new", "t.ren"])
def test_notes_about_schema_changes_act_on_nothing_outside(tmp_path: Path, note: str) -> None:
    backup, victim = tmp_path / "backup", tmp_path / "victim"
    (backup / "d").mkdir(parents=True)
    victim.mkdir()
    (victim / "t.ibd").write_bytes(b"precious")
    (backup / "shop").symlink_to(victim)
    if note == "t.ren":
        (backup / "d/t.ibd").write_bytes(b"theirs")
        (backup / "d" / note).write_text("shop/t")
        with pytest.raises(UnsafeFile, match="shop is a symbolic link"):
            apply_ddl_files(backup)
    else:
        (victim / note).write_bytes(b"theirs")
        assert apply_ddl_files(backup) == []
    assert (victim / "t.ibd").read_bytes() == b"precious"
