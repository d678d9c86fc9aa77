# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of an archive: which files a selection names, and that those, and only those, are unpacked and verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupPartial,
    DecryptionFailed,
    DiskFull,
    InvalidOption,
    StreamCorrupt,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import compare, listing
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import ArchiveSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.pack import create_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    entry,
    make_archive,
    payload,
    raw_archive,
    some_files,
    tree,
)

KEY = bytes(range(32))

PATHS = [
    "ibdata1",
    "undo001",
    "mysql/db.frm",
    "mysql/db.MAD",
    "mysql/db.opt",
    "shop/db.opt",
    "shop/orders.frm",
    "shop/orders.ibd",
    "shop/orders.TRG",
    "shop/orders_old.ibd",
    "shop/parts.frm",
    "shop/parts.par",
    "shop/parts#P#p0.ibd",
    "shop/parts#p#p1#sp#s0.ibd",
    "shop/log.CSV",
    "shop/log.CSM",
    "shop/with@002edot.MYD",
    "my@002dshop/t.ibd",
    "xtrabackup_info",
]


def chosen(**wanted: Any) -> set[str]:
    return Selection(**{name: tuple(values) for name, values in wanted.items()}).choose(PATHS, "the backup")


@pytest.mark.parametrize(
    ("table", "files"),
    [
        ("shop.orders", {"shop/orders.frm", "shop/orders.ibd", "shop/orders.TRG"}),
        ("shop.parts", {"shop/parts.frm", "shop/parts.par", "shop/parts#P#p0.ibd", "shop/parts#p#p1#sp#s0.ibd"}),
        ("shop.log", {"shop/log.CSV", "shop/log.CSM"}),
        ("shop.with.dot", {"shop/with@002edot.MYD"}),
        ("my-shop.t", {"my@002dshop/t.ibd"}),
        ("mysql.db", {"mysql/db.frm", "mysql/db.MAD"}),
    ],
)
def test_a_table_is_all_its_files_and_no_others(table: str, files: set[str]) -> None:
    assert chosen(tables=[table]) == files


@pytest.mark.parametrize(
    ("glob", "files"),
    [
        ("*", {"ibdata1", "undo001", "xtrabackup_info"}),
        ("mysql/*.frm", {"mysql/db.frm"}),
        ("**/*.MYD", {"shop/with@002edot.MYD"}),
        ("**/ibdata1", {"ibdata1"}),
        ("sh*p/orders.*", {"shop/orders.frm", "shop/orders.ibd", "shop/orders.TRG"}),
        ("shop/log.CS[VM]", {"shop/log.CSV", "shop/log.CSM"}),
        ("shop/log.CS[!V]", {"shop/log.CSM"}),
        ("undo00?", {"undo001"}),
        ("shop[!x]log.CSV|**/db.opt", None),
        ("**", set(PATHS)),
    ],
)
def test_a_star_stays_within_a_directory_and_two_do_not(glob: str, files: set[str] | None) -> None:
    if files is None:
        with pytest.raises(InvalidOption):
            chosen(files=[glob])
    else:
        assert chosen(files=[glob]) == files


def test_all_that_is_named_is_wanted() -> None:
    found = chosen(databases=["my-shop"], tables=["shop.log"], files=["undo*", "shop/log.*"])
    assert found == {"my@002dshop/t.ibd", "shop/log.CSV", "shop/log.CSM", "undo001"}
    assert chosen(databases=["shop"]) == {path for path in PATHS if path.startswith("shop/")}


def test_what_is_not_there_is_named_with_what_looks_like_it() -> None:
    with pytest.raises(InvalidOption) as caught:
        chosen(databases=["my_shop", "shop"], tables=["shop.order", "shoop.log"], files=["shop/*.ARZ"])
    assert caught.value.details["missing"] == {
        "databases": ["my_shop"],
        "tables": ["shop.order", "shoop.log"],
        "files": ["shop/*.ARZ"],
    }
    for said in ("my_shop (there is my-shop", "shop.order (there is shop.orders", "shoop.log (there is database shop"):
        assert said in caught.value.message


@pytest.mark.parametrize("name", ["orders", ".orders", "shop."])
def test_a_table_without_a_database_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match="with its database"):
        chosen(tables=[name])


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOption, match="not a pattern"):
        chosen(files=["shop/[z-a]"])


def test_names_of_a_server_that_keeps_them_in_lower_case() -> None:
    assert Selection(tables=("Shop.LOG",)).choose(PATHS, "x", lower_case=True) == {"shop/log.CSV", "shop/log.CSM"}
    with pytest.raises(InvalidOption):
        Selection(tables=("Shop.LOG",)).choose(PATHS, "x")


# --- unpacking -----------------------------------------------------------------------------------

ORDERS = Selection(tables=("shop.orders",))
ORDERS_FILES = {path: data for path, data in some_files().items() if path.startswith("shop/orders")}


def held(directory: Path) -> dict[str, bytes]:
    """The files beside the manifest."""
    found = tree(directory)
    found.pop(MANIFEST_NAME)
    return found


@pytest.mark.parametrize(("algorithm", "key"), [(None, None), ("zstd", None), (None, KEY), ("lz4", KEY)])
def test_only_what_is_selected_is_unpacked_with_a_manifest_of_it(
    tmp_path: Path, algorithm: str | None, key: bytes | None
) -> None:
    published = make_archive(tmp_path / "archive", some_files(), algorithm=algorithm, key=key)
    manifest = extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(decrypt_key=key, selection=ORDERS)
    )
    assert manifest is not None
    assert held(tmp_path / "dest") == ORDERS_FILES
    assert manifests.read(tmp_path / "dest") == manifest
    manifests.verify_directory(tmp_path / "dest", manifest, digests=True)
    assert manifest.backup["state"] == "partial"
    assert manifest.backup["partial"] == {"source_sha256": published["sha256"]}
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]


def damaged(archive: Path, where: bytes) -> None:
    data = bytearray(archive.read_bytes())
    data[data.index(where) + 5] ^= 1
    archive.write_bytes(data)


def test_of_a_plain_archive_the_rest_is_not_read(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    damaged(tmp_path / "archive", some_files()["ibdata1"][:50])
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(selection=ORDERS))
    assert held(tmp_path / "dest") == ORDERS_FILES
    with pytest.raises(StreamCorrupt):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "all")
    damaged(tmp_path / "archive", ORDERS_FILES["shop/orders.frm"][:50])
    with pytest.raises(StreamCorrupt):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "other", ExtractOptions(selection=ORDERS))
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]


def test_of_an_encrypted_archive_everything_is_authenticated(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", {**some_files(), "xtrabackup_last": b"L" * 400}, key=KEY)
    good = (tmp_path / "archive").read_bytes()
    # a whole chunk of what nobody wants, with a checksum that is right
    plain, forged = (payload(b"xtrabackup_last", 0, letter * 400) for letter in (b"L", b"M"))
    assert plain in good
    (tmp_path / "archive").write_bytes(good.replace(plain, forged))
    with pytest.raises(DecryptionFailed):
        extract_archive(
            source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(decrypt_key=KEY, selection=ORDERS)
        )
    (tmp_path / "archive").write_bytes(good)
    with pytest.raises(DecryptionFailed):
        extract_archive(
            source_at(tmp_path / "archive"),
            tmp_path / "dest",
            ExtractOptions(selection=Selection(files=("xtrabackup_*",))),
        )
    assert os.listdir(tmp_path) == ["archive"]


def test_a_replaced_file_is_the_newer_one_and_a_dropped_one_is_not_there(tmp_path: Path) -> None:
    sink = ArchiveSink(tmp_path / "archive")
    for path, data in (("shop/a.ibd", b"old"), ("shop/b.ibd", b"void"), ("shop/c.ibd", b"C")):
        with sink.open(path) as file:
            file.write(data)
            last = file.close()
    with sink.replace("shop/a.ibd") as file:
        file.write(b"newer")
        newer = file.close()
    sink.discard("shop/b.ibd")
    sink.publish(Manifest({"id": "1"}, (newer, last)))
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(selection=Selection(tables=("shop.a",)))
    )
    assert held(tmp_path / "dest") == {"shop/a.ibd": b"newer"}
    with pytest.raises(InvalidOption):
        extract_archive(
            source_at(tmp_path / "archive"), tmp_path / "none", ExtractOptions(selection=Selection(tables=("shop.b",)))
        )
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "all", ExtractOptions(selection=Selection(files=("**",)))
    )
    assert held(tmp_path / "all") == {"shop/a.ibd": b"newer", "shop/c.ibd": b"C"}


def test_an_archive_without_a_manifest(tmp_path: Path) -> None:
    files = {
        "shop/orders.ibd": b"O",
        "shop/orders.new": b"N",
        "shop/t.ibd": b"T",
        "xtrabackup_checkpoints": b"",
        "xtrabackup_info": b"",
    }
    (tmp_path / "archive").write_bytes(raw_archive(files, None))
    extract_archive(
        source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(selection=ORDERS, require_manifest=False)
    )
    assert tree(tmp_path / "dest") == {"shop/orders.ibd": b"O", "shop/orders.new": b"N"}
    whole = listing.list_archive(source_at(tmp_path / "archive"))
    assert compare.directory_holds(tmp_path / "dest", whole.part(ORDERS, "x"))
    assert not compare.directory_holds(tmp_path / "dest", whole)


def test_an_archive_that_is_replaced_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(tmp_path / "archive", some_files())
    make_archive(tmp_path / "other", some_files(2))
    require_space = durable.require_space

    def replaced(*arguments: Any) -> None:
        require_space(*arguments)
        os.replace(tmp_path / "other", tmp_path / "archive")

    monkeypatch.setattr(durable, "require_space", replaced)
    with pytest.raises(StreamCorrupt, match="another archive"):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(selection=ORDERS))


def test_only_the_selected_bytes_have_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(tmp_path / "archive", some_files())
    monkeypatch.setattr(durable, "free_bytes", lambda _path: 1000)
    extract_archive(
        source_at(tmp_path / "archive"),
        tmp_path / "dest",
        ExtractOptions(selection=Selection(files=("shop/orders.frm",))),
    )
    with pytest.raises(DiskFull):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "more", ExtractOptions(selection=ORDERS))


def test_a_part_is_not_packed(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest", ExtractOptions(selection=ORDERS))
    with pytest.raises(BackupPartial, match="only 2 selected files"):
        create_archive(tmp_path / "dest", tmp_path / "made")
    assert sorted(os.listdir(tmp_path)) == ["archive", "dest"]


def test_the_digests_that_a_prepared_backup_does_not_know_are_no_hindrance(tmp_path: Path) -> None:
    known, unknown = b"k" * 500, b"u" * 500
    directory = tmp_path / "ready"
    directory.mkdir()
    (directory / "ibdata1").write_bytes(unknown)
    (directory / "xtrabackup_info").write_bytes(known)
    files = (manifests.FileEntry("ibdata1", 500, ""), entry("xtrabackup_info", known))
    manifest = Manifest({"id": "1", "state": "prepared", "prepared": {"source_sha256": "first"}}, files)
    (directory / MANIFEST_NAME).write_bytes(manifest.render())
    create_archive(directory, tmp_path / "made")
    assert compare.archive_holds(source_at(tmp_path / "made"), manifest, "")
    assert extract_archive(source_at(tmp_path / "made"), tmp_path / "again") == manifest
    assert tree(tmp_path / "again") == tree(directory)
    (directory / "xtrabackup_info").write_bytes(unknown)
    with pytest.raises(XtrabackupError, match="other content"):
        create_archive(directory, tmp_path / "other")
