# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever can write where an encrypted backup is stored puts another ciphertext there, and takes away what tells."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import MANIFEST_NAME, Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    entry,
    fingerprints,
    old_encrypted,
    prints,
    some_files,
    tree,
    write_backup,
)

KEY = bytes(range(32))
INFO = b"uuid = 1\ntool_name = innodb.xtrabackup\n"
FORGED = b"uuid = 1\nforged = yes\n"


def pack(place: Path, algorithm: str | None = None) -> dict[str, bytes]:
    files = {**some_files(), "xtrabackup_info": INFO}
    compress = Compression(algorithm) if algorithm else None
    write_backup(PackedDirectorySink(place, compress=compress, encrypt_key=KEY), files)
    return files


def unpack(place: Path, *, decompress: bool = True) -> list[str]:
    return unpack_directory(place, UnpackOptions(Decoding(decompress=decompress), KEY), Progress("test"))


def refused(place: Path) -> None:
    """Neither step decrypts anything, and nothing is changed."""
    before = fingerprints(place)
    for decompress in (True, False):
        with pytest.raises(DecryptionFailed, match="nothing proves"):
            unpack(place, decompress=decompress)
    assert fingerprints(place) == before


def write_manifest(place: Path, manifest: Manifest) -> None:
    (place / MANIFEST_NAME).write_bytes(manifest.render())


def forge(place: Path, name: str = "xtrabackup_slave_info") -> Manifest:
    """A ciphertext that was not made by who has the key (a known plaintext was changed), and a manifest that fits."""
    manifest = manifests.read(place)
    forged = replace(entry(name, FORGED), stored=f"{name}.xbcrypt")
    (place / f"{name}.xbcrypt").write_bytes(b"".join(map(bytes, cipher.Encryptor(KEY).seal(FORGED))))
    return replace(manifest, files=(*manifest.files, forged), mac=None)


def test_a_manifest_whose_mac_was_removed_makes_no_forged_ciphertext_right(tmp_path: Path) -> None:
    pack(tmp_path / "packed")
    write_manifest(tmp_path / "packed", forge(tmp_path / "packed"))
    refused(tmp_path / "packed")


def test_a_manifest_that_says_it_was_decrypted_already_makes_no_forged_ciphertext_right(tmp_path: Path) -> None:
    pack(tmp_path / "packed")
    write_manifest(tmp_path / "packed", forge(tmp_path / "packed").plain())
    refused(tmp_path / "packed")


def test_our_backup_whose_manifest_was_removed_is_not_taken_for_another_tools(tmp_path: Path) -> None:
    pack(tmp_path / "packed")
    (tmp_path / "packed" / MANIFEST_NAME).unlink()
    refused(tmp_path / "packed")


def test_an_encrypted_file_beside_those_that_the_mac_covers_is_not_decrypted(tmp_path: Path) -> None:
    pack(tmp_path / "packed", "zstd")
    place = tmp_path / "packed"
    (place / "ibdata1.xbcrypt").write_bytes(b"".join(map(bytes, cipher.Encryptor(KEY).seal(FORGED))))
    refused(place)


@pytest.mark.parametrize("algorithm", [None, "zstd"])
def test_what_was_decrypted_before_needs_no_mac_any_more(tmp_path: Path, algorithm: str | None) -> None:
    files = pack(tmp_path / "packed", algorithm)
    place = tmp_path / "packed"
    for decompress in (False, True, True, False):
        unpack(place, decompress=decompress)
    for name in [*place.rglob("*.zst"), *place.rglob("*.xbcrypt")]:
        os.unlink(name)
    found = fingerprints(place)
    assert found.pop(MANIFEST_NAME)
    assert found == prints(files)


def test_what_went_bad_since_it_was_decrypted_is_not_made_anew_without_a_mac(tmp_path: Path) -> None:
    pack(tmp_path / "packed")
    unpack(tmp_path / "packed")
    (tmp_path / "packed" / "ibdata1").write_bytes(b"short")
    refused(tmp_path / "packed")


@pytest.mark.parametrize("version", [1, 2])
def test_backups_of_other_tools_which_never_had_a_mac_are_decrypted(tmp_path: Path, version: int) -> None:
    info = b"uuid = 1\ntool_name = xtrabackup\n"
    durable.write_file(tmp_path / "xtrabackup_info", info)
    durable.write_file(tmp_path / "xtrabackup_info.xbcrypt", old_encrypted(info, KEY, version))
    assert unpack(tmp_path) == ["xtrabackup_info.xbcrypt"]
    assert tree(tmp_path)["xtrabackup_info"] == info
