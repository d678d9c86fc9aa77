# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking damaged, cut, mixed and dishonest streams: always an error, and nothing is published."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import (
    DecryptionFailed,
    FormatError,
    StreamCorrupt,
    StreamError,
    StreamTruncated,
    XtrabackupError,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import extract
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    boundaries,
    end,
    entries_of,
    entry,
    make_archive,
    payload,
    raw_archive,
    some_files,
    unpacks,
)

KEY = bytes(range(32))


# --- truncation, damage


@pytest.mark.parametrize(("algorithm", "key"), [(None, None), ("zstd", KEY)])
def test_truncation_at_each_chunk_and_at_200_random_offsets_publishes_nothing(
    tmp_path: Path, algorithm: str | None, key: bytes | None
) -> None:
    make_archive(tmp_path / "whole", some_files(), algorithm=algorithm, key=key)
    stream = (tmp_path / "whole").read_bytes()
    work = tmp_path / "work"
    work.mkdir()
    source = random.Random(9)
    cuts = [0, *boundaries(stream)[:-1], *(source.randrange(len(stream)) for _repeat in range(200))]
    for cut in cuts:
        with pytest.raises(StreamTruncated):
            unpacks(stream[:cut], work, decrypt_key=key)
    assert unpacks(stream, work, decrypt_key=key)


@pytest.mark.parametrize(("algorithm", "key"), [(None, None), ("zstd", None), ("zstd", KEY)])
def test_a_flipped_bit_is_detected_or_changes_nothing(tmp_path: Path, algorithm: str | None, key: bytes | None) -> None:
    files = {"db/t.ibd": b"some pages " * 300, "xtrabackup_info": b"uuid = 1\n"}
    make_archive(tmp_path / "whole", files, algorithm=algorithm, key=key)
    stream = (tmp_path / "whole").read_bytes()
    work = tmp_path / "work"
    work.mkdir()
    source = random.Random(10)
    detected = 0
    for _repeat in range(250):
        damaged = bytearray(stream)
        damaged[source.randrange(len(stream))] ^= 1 << source.randrange(8)
        try:
            unpacked = unpacks(bytes(damaged), work, decrypt_key=key)
        except XtrabackupError:
            detected += 1
        else:
            del unpacked[MANIFEST_NAME]
            assert unpacked == files
    assert detected > 230


def test_trailing_garbage_is_refused(tmp_path: Path) -> None:
    make_archive(tmp_path / "archive", some_files())
    stream = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").unlink()
    with pytest.raises(StreamError):
        unpacks(stream + b"\0", tmp_path)


# --- what the manifest says


def test_an_archive_without_a_manifest_is_incomplete_however_clean(tmp_path: Path) -> None:
    with pytest.raises(StreamTruncated, match="without the manifest"):
        unpacks(raw_archive({"ibdata1": b"x", "xtrabackup_checkpoints": b"", "xtrabackup_info": b""}, None), tmp_path)


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    manifest = Manifest({"id": "1"}, (entry("a", b"1"), entry("db/t.ibd", b"2")))
    with pytest.raises(StreamTruncated, match=r"lacks db/t\.ibd"):
        unpacks(raw_archive({"a": b"1"}, manifest), tmp_path)


def test_an_entry_that_the_manifest_does_not_name_is_refused(tmp_path: Path) -> None:
    manifest = Manifest({"id": "1"}, (entry("a", b"1"),))
    with pytest.raises(StreamCorrupt, match=r"does not name: db/evil\.frm"):
        unpacks(raw_archive({"a": b"1", "db/evil.frm": b"2"}, manifest), tmp_path)
    with pytest.raises(StreamCorrupt, match="late"):
        unpacks(raw_archive({"a": b"1"}, manifest) + payload(b"late", 0, b"x") + end(b"late"), tmp_path)


@pytest.mark.parametrize("content", [b"12", b"", b"2"])
def test_other_content_than_the_manifest_names_is_refused(tmp_path: Path, content: bytes) -> None:
    manifest = Manifest({"id": "1"}, (entry("db/t.ibd", b"1"),))
    with pytest.raises(StreamCorrupt, match=r"db/t\.ibd: "):
        unpacks(raw_archive({"db/t.ibd": content}, manifest), tmp_path)


def test_superseded_entries_are_dropped_and_replacements_get_their_names(tmp_path: Path) -> None:
    files = {"db/t.ibd": b"old", "db/u.ibd": b"dropped", "db/t.new": b"new", "db/u.del": b"", "db/k.ibd": b"kept"}
    manifest = Manifest(
        {"id": "1"},
        (entry("db/t.ibd", b"new", "db/t.new"), entry("db/k.ibd", b"kept")),
        ("db/t.ibd", "db/u.ibd", "db/u.del"),
    )
    unpacked = unpacks(raw_archive(files, manifest), tmp_path)
    assert unpacked.pop(MANIFEST_NAME) == manifest.plain().render()
    assert unpacked == {"db/t.ibd": b"new", "db/k.ibd": b"kept"}


@pytest.mark.parametrize(
    ("files", "manifest"),
    [
        # two entries, one file
        ({"a": b"1", "b": b"2"}, Manifest({"id": "1"}, (entry("a", b"1"), entry("c", b"2", "a")))),
        # a rename onto a file that is kept
        ({"a": b"1", "b": b"2"}, Manifest({"id": "1"}, (entry("b", b"1", "a"), entry("c", b"2", "b")))),
        # named and dropped
        ({"a": b"1"}, Manifest({"id": "1"}, (entry("a", b"1"),), ("a",))),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, files: dict[str, bytes], manifest: Manifest
) -> None:
    (tmp_path / "archive").write_bytes(raw_archive(files, manifest))
    with pytest.raises((StreamCorrupt, FormatError)):
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_manifest_cannot_rename_out_of_the_directory(tmp_path: Path, path: str) -> None:
    manifest = Manifest({"id": "1"}, (replace(entry("a", b"1"), path=path, stored="a"),))
    with pytest.raises(FormatError, match="unsafe"):
        unpacks(raw_archive({"a": b"1"}, manifest), tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"null", b'{"format": 1}', b"\xff\xfe", b'{"format": 2}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    name = MANIFEST_NAME.encode()
    stream = (payload(name, 0, text) if text else b"") + end(name)
    with pytest.raises(FormatError):
        unpacks(stream, tmp_path)


# --- encryption


def test_an_encrypted_archive_needs_its_key(tmp_path: Path) -> None:
    make_archive(tmp_path / "whole", some_files(), algorithm="zstd", key=KEY)
    stream = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    for key in (None, bytes(32), KEY[:16]):
        with pytest.raises(DecryptionFailed):
            unpacks(stream, tmp_path, decrypt_key=key)


def dropped(entries: dict[str, bytes], _other: dict[str, bytes]) -> None:
    del entries["shop/orders.ibd.zst.xbcrypt"]


def duplicated(entries: dict[str, bytes], _other: dict[str, bytes]) -> None:
    entries["again"] = entries["shop/orders.ibd.zst.xbcrypt"]


def mixed_in(entries: dict[str, bytes], other: dict[str, bytes]) -> None:
    entries["ibdata1.zst.xbcrypt"] = other["ibdata1.zst.xbcrypt"]


def other_metadata(entries: dict[str, bytes], _other: dict[str, bytes]) -> None:
    name = b"xtrabackup_info"
    entries["xtrabackup_info"] = payload(name, 0, b"uuid = 2\n") + end(name)


def other_manifest(entries: dict[str, bytes], other: dict[str, bytes]) -> None:
    entries[MANIFEST_NAME] = other[MANIFEST_NAME]


def edited_manifest(entries: dict[str, bytes], _other: dict[str, bytes]) -> None:
    name = MANIFEST_NAME.encode()
    document = json.loads(entries[MANIFEST_NAME][34 + len(name) : -14 - len(name)])
    document["backup"]["to_lsn"] = 6
    entries[MANIFEST_NAME] = payload(name, 0, json.dumps(document).encode()) + end(name)


def unauthenticated_manifest(entries: dict[str, bytes], _other: dict[str, bytes]) -> None:
    name = MANIFEST_NAME.encode()
    document = json.loads(entries[MANIFEST_NAME][34 + len(name) : -14 - len(name)])
    del document["mac"]
    entries[MANIFEST_NAME] = payload(name, 0, json.dumps(document).encode()) + end(name)


@pytest.mark.parametrize(
    "attack",
    [dropped, duplicated, mixed_in, other_metadata, other_manifest, edited_manifest, unauthenticated_manifest],
)
def test_nothing_of_an_encrypted_backup_can_be_exchanged(
    tmp_path: Path, attack: Callable[[dict[str, bytes], dict[str, bytes]], None]
) -> None:
    streams = []
    for seed in (1, 2):
        make_archive(tmp_path / "whole", some_files(seed), algorithm="zstd", key=KEY, backup={"to_lsn": seed})
        streams.append(entries_of((tmp_path / "whole").read_bytes()))
    (tmp_path / "whole").unlink()
    ours, other = streams
    assert unpacks(b"".join(ours.values()), tmp_path, decrypt_key=KEY)
    durable.remove_tree(tmp_path / "dest")
    attack(ours, other)
    with pytest.raises(XtrabackupError):
        unpacks(b"".join(ours.values()), tmp_path, decrypt_key=KEY)


def test_an_entry_forged_to_the_manifests_own_digest_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_archive(tmp_path / "whole", some_files(), algorithm="zstd", key=KEY)
    entries = entries_of((tmp_path / "whole").read_bytes())
    (tmp_path / "whole").unlink()
    other_metadata(entries, {})
    # the digest is fast and not made to withstand forgers: suppose that one has found a second content for it
    monkeypatch.setattr(extract.Extractor, "_verify_content", lambda _self, _manifest: None)
    with pytest.raises(DecryptionFailed, match="changed since"):
        unpacks(b"".join(entries.values()), tmp_path, decrypt_key=KEY)


def test_a_backup_that_is_not_encrypted_is_no_substitute_for_one_that_is(tmp_path: Path) -> None:
    make_archive(tmp_path / "whole", some_files())
    stream = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    with pytest.raises(DecryptionFailed, match="not authenticated"):
        unpacks(stream, tmp_path, decrypt_key=KEY)
