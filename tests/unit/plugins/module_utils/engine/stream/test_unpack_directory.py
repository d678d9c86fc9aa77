# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of packed files: made, and unpacked where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import zstandard

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    BackupIncomplete,
    Cancelled,
    DecryptionFailed,
    StreamCorrupt,
    StreamTruncated,
    TargetUnsafe,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import unpack_directory as unpacking
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.archive import StreamSink
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    apply_manifest_in_place,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    fingerprints,
    old_encrypted,
    prints,
    some_files,
    write_backup,
)

KEY = bytes(range(32))


def pack(place: Path, *, key: bytes | None = None, algorithm: str | None = "zstd") -> dict[str, bytes]:
    """A packed directory of some files; returns them."""
    files = some_files()
    compress = Compression(algorithm) if algorithm else None
    write_backup(PackedDirectorySink(place, compress=compress, encrypt_key=key), files)
    return files


def with_schema_changes(sink: StreamSink) -> dict[str, bytes]:
    """Write a backup during which one table changed and one was dropped; returns what it is in the end."""
    entries = []
    for path in ("db/changed.ibd", "db/dropped.ibd", "db/same.ibd"):
        with sink.open(path) as file:
            file.write(b"old " * 1000)
            entries.append(file.close())
    with sink.replace("db/changed.ibd") as file:
        file.write(b"new and longer " * 1000)
        changed = file.close()
    sink.discard("db/dropped.ibd")
    sink.publish(Manifest({"id": "1"}, (changed, entries[2])))
    return {"db/changed.ibd": b"new and longer " * 1000, "db/same.ibd": b"old " * 1000}


def unpack(place: Path, decoding: Decoding, **options: object) -> list[str]:
    return unpack_directory(place, UnpackOptions(decoding, **options), Progress("test"))  # type: ignore[arg-type]


def plain(place: Path) -> dict[str, str]:
    found = fingerprints(place)
    assert found.pop(MANIFEST_NAME)
    return found


@pytest.mark.parametrize(("key", "algorithm"), [(None, "zstd"), (None, "lz4"), (KEY, "zstd"), (KEY, None)])
def test_what_was_packed_is_unpacked_in_one_step_or_in_two(
    tmp_path: Path, key: bytes | None, algorithm: str | None
) -> None:
    files = pack(tmp_path / "packed", key=key, algorithm=algorithm)
    assert not (tmp_path / "packed" / "ibdata1").exists()
    shutil.copytree(tmp_path / "packed", tmp_path / "steps")
    assert unpack(tmp_path / "packed", Decoding(), decrypt_key=key, remove_original=True, parallel=3)
    assert plain(tmp_path / "packed") == prints(files)
    manifests.verify_directory(tmp_path / "packed", manifests.read(tmp_path / "packed"), digests=True)
    if key:
        unpack(tmp_path / "steps", Decoding(decompress=False), decrypt_key=key, remove_original=True)
    unpack(tmp_path / "steps", Decoding(decrypt=False), remove_original=True)
    assert fingerprints(tmp_path / "steps") == fingerprints(tmp_path / "packed")
    assert unpack(tmp_path / "steps", Decoding(decrypt=False)) == []


def test_another_key_and_exchanged_files_leave_all_as_it_was(tmp_path: Path) -> None:
    pack(tmp_path / "packed", key=KEY)
    before = fingerprints(tmp_path / "packed")
    with pytest.raises(DecryptionFailed):
        unpack(tmp_path / "packed", Decoding(), decrypt_key=bytes(32))
    assert fingerprints(tmp_path / "packed") == before
    files = some_files()
    write_backup(PackedDirectorySink(tmp_path / "other", encrypt_key=KEY, compress=Compression("zstd")), files)
    taken = tmp_path / "other" / "xtrabackup_info"
    taken.write_bytes(b"uuid = 2\n")
    with pytest.raises(DecryptionFailed, match="was changed since"):
        unpack(tmp_path / "other", Decoding(), decrypt_key=KEY)
    assert not (tmp_path / "other" / "ibdata1").exists()


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_noticed_and_nothing_is_unpacked(tmp_path: Path, damage: str) -> None:
    pack(tmp_path / "packed")
    victim = tmp_path / "packed" / "shop" / "orders.ibd.zst"
    data = victim.read_bytes()
    victim.write_bytes(data[:-3] if damage == "cut" else (tmp_path / "packed" / "ibdata1.zst").read_bytes())
    with pytest.raises((StreamTruncated, StreamCorrupt)):
        unpack(tmp_path / "packed", Decoding())
    assert not (tmp_path / "packed" / "ibdata1").exists()
    assert [path.name for path in (tmp_path / "packed").iterdir() if path.name.startswith(".")] == []


def test_schema_changes_of_the_backup_are_done_once_all_is_unpacked(tmp_path: Path) -> None:
    expected = with_schema_changes(PackedDirectorySink(tmp_path / "packed", compress=Compression("zstd")))
    unpack(tmp_path / "packed", Decoding())
    for path in (tmp_path / "packed").rglob("*.zst"):
        assert path.name in ("changed.ibd.zst", "same.ibd.zst")
        path.unlink()
    assert plain(tmp_path / "packed") == prints(expected)


def test_a_directory_that_another_tool_unpacked_becomes_what_its_manifest_means(tmp_path: Path) -> None:
    # without compression: the entries as they are stored, as mbstream writes them
    expected = with_schema_changes(PackedDirectorySink(tmp_path / "theirs"))
    assert (tmp_path / "theirs" / "db" / "changed.new").exists()
    apply_manifest_in_place(tmp_path / "theirs")
    assert plain(tmp_path / "theirs") == prints(expected)
    before = fingerprints(tmp_path / "theirs")
    apply_manifest_in_place(tmp_path / "theirs")
    assert fingerprints(tmp_path / "theirs") == before


def test_an_unpacking_that_was_interrupted_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pack(tmp_path / "packed")

    def stop(*_arguments: object) -> None:
        raise Cancelled("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(unpacking.durable, "write_file", stop)
        with pytest.raises(XtrabackupError):
            unpack(tmp_path / "packed", Decoding())
    assert (tmp_path / "packed" / "ibdata1").exists()
    assert unpack(tmp_path / "packed", Decoding()) == []
    for path in (tmp_path / "packed").rglob("*.zst"):
        path.unlink()
    assert plain(tmp_path / "packed") == prints(files)
    assert not any(file.stored for file in manifests.read(tmp_path / "packed").files)


# --- what was unpacked before ----------------------------------------------------------------------


@pytest.mark.parametrize("manifest", [True, False])
@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_file_that_is_there_already_and_is_not_right_is_made_anew(
    tmp_path: Path, damage: str, manifest: bool
) -> None:
    files = pack(tmp_path / "packed")
    if not manifest:
        (tmp_path / "packed" / MANIFEST_NAME).unlink()
    right = files["shop/orders.ibd"]
    stale = right[:-100] if damage == "cut" else right[:-1] + bytes([right[-1] ^ 1])
    (tmp_path / "packed" / "shop" / "orders.ibd").write_bytes(stale)
    assert "shop/orders.ibd.zst" in unpack(tmp_path / "packed", Decoding(), remove_original=True)
    assert (tmp_path / "packed" / "shop" / "orders.ibd").read_bytes() == right
    found = fingerprints(tmp_path / "packed")
    assert (found.pop(MANIFEST_NAME, None) is not None) == manifest
    assert found == prints(files)


def test_a_file_that_went_bad_after_all_was_unpacked_is_made_anew(tmp_path: Path) -> None:
    files = pack(tmp_path / "packed")
    unpack(tmp_path / "packed", Decoding())
    (tmp_path / "packed" / "ibdata1").write_bytes(b"short")
    assert unpack(tmp_path / "packed", Decoding()) == ["ibdata1.zst"]
    for path in (tmp_path / "packed").rglob("*.zst"):
        path.unlink()
    assert plain(tmp_path / "packed") == prints(files)


def test_the_packed_files_of_what_is_unpacked_and_right_may_be_removed_later(tmp_path: Path) -> None:
    files = pack(tmp_path / "packed")
    unpack(tmp_path / "packed", Decoding())
    assert list((tmp_path / "packed").rglob("*.zst"))
    assert unpack(tmp_path / "packed", Decoding(), remove_original=True) == []
    assert plain(tmp_path / "packed") == prints(files)


@pytest.mark.parametrize("at_once", [True, False])
def test_packed_files_of_changed_tables_are_kept_or_removed_as_the_others(tmp_path: Path, at_once: bool) -> None:
    expected = with_schema_changes(PackedDirectorySink(tmp_path / "packed", compress=Compression("zstd")))
    unpack(tmp_path / "packed", Decoding(), remove_original=at_once)
    if not at_once:
        kept = sorted(str(path.relative_to(tmp_path / "packed")) for path in (tmp_path / "packed").rglob("*.zst"))
        assert kept == ["db/changed.ibd.zst", "db/same.ibd.zst"]
        assert unpack(tmp_path / "packed", Decoding()) == []
        assert unpack(tmp_path / "packed", Decoding(), remove_original=True) == []
    assert plain(tmp_path / "packed") == prints(expected)


def test_what_recovery_has_changed_is_never_made_anew_from_what_was_packed_before(tmp_path: Path) -> None:
    pack(tmp_path / "packed")
    unpack(tmp_path / "packed", Decoding())
    (tmp_path / "packed" / "ibdata1").write_bytes(b"as recovery left it")
    before = fingerprints(tmp_path / "packed")
    for remove in (False, True):
        with pytest.raises(BackupIncomplete, match="was prepared.*ibdata1"):
            unpack(tmp_path / "packed", Decoding(), was_recovered=lambda _directory: True, remove_original=remove)
    assert fingerprints(tmp_path / "packed") == before


def test_the_root_directory_is_no_backup_and_a_relative_one_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TargetUnsafe):
        unpack(Path("/"), Decoding())
    files = pack(tmp_path / "packed")
    monkeypatch.chdir(tmp_path / "packed")
    assert unpack(Path(), Decoding(), remove_original=True)
    assert plain(tmp_path / "packed") == prints(files)


# --- keys of old containers ------------------------------------------------------------------------


PAGE = bytes(24) + b"\0\x08" + bytes(8) + b"\0\0\0\x07" * 2 + bytes(16342)
OLD = {
    "shop/t.ibd.xbcrypt": PAGE,
    "shop/t.MYD.xbcrypt": b"rows" * 100,
    "xtrabackup_info.xbcrypt": b"uuid = 1\nname = \n",
    "ibdata1.zst.xbcrypt": zstandard.ZstdCompressor().compress(b"system" * 1000),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("names", [[name] for name in OLD] + [list(OLD)])
def test_without_a_proof_of_the_key_no_old_container_is_decrypted(
    tmp_path: Path, version: int, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(old_encrypted(OLD[name], KEY, version))
    before = fingerprints(tmp_path)
    for decoding in (Decoding(), Decoding(decompress=False)):
        with pytest.raises(DecryptionFailed):
            unpack(tmp_path, decoding, decrypt_key=bytes(32), remove_original=True)
        assert fingerprints(tmp_path) == before
    if names == ["shop/t.MYD.xbcrypt"]:
        # right, and nobody could know
        with pytest.raises(DecryptionFailed, match=r"nothing proves.*t\.MYD"):
            unpack(tmp_path, Decoding(), decrypt_key=KEY, remove_original=True)
        assert fingerprints(tmp_path) == before
    else:
        unpack(tmp_path, Decoding(decompress=False), decrypt_key=KEY, remove_original=True)
        assert {name: (tmp_path / name[:-8]).read_bytes() for name in names} == {name: OLD[name] for name in names}
        assert not list(tmp_path.rglob("*.xbcrypt"))
