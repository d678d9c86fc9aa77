# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever can write where an encrypted backup is stored puts another ciphertext there, and takes away what tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import main
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import DecryptionFailed, UnsafeFile
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.key_proof import NOT_AUTHENTICATED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.packed_directory import (
    PackedDirectorySink,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.unpack_directory import (
    UnpackOptions,
    unpack_directory,
)
from ansible_collections.innodb.xtrabackup.plugins.modules import xbstream
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    entry,
    fingerprints,
    old_encrypted,
    prints,
    raw_archive,
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
    (place / f"{name}.xbcrypt").write_bytes(b"".join(map(bytes, cipher.Encryptor(KEY).encrypt(FORGED))))
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
    (place / "ibdata1.xbcrypt").write_bytes(b"".join(map(bytes, cipher.Encryptor(KEY).encrypt(FORGED))))
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


def encrypted(plain: bytes) -> bytes:
    return b"".join(map(bytes, cipher.Encryptor(KEY).encrypt(plain)))


def reported(words: list[str], stdin: bytes = b"") -> str:
    """What the command line has said."""
    script = f"import sys; from {main.__name__} import main; sys.argv = {words}; sys.exit(main())"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=stdin, capture_output=True, env=same_imports(), check=True)
    return done.stderr.decode()


LINKS: dict[str, Callable[[Path, Path], object]] = {
    "a packed file": lambda place, outside: (place / "secret.zst").symlink_to(outside / "secret.zst"),
    "a directory": lambda place, outside: (place / "linked").symlink_to(outside),
    "what was unpacked": lambda place, outside: (place / "ibdata1").symlink_to(outside / "ibdata1"),
    "a pipe": lambda place, _outside: os.mkfifo(place / "pipe.zst"),
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("manifest", [True, False])
def test_links_lead_nowhere_from_a_packed_directory(tmp_path: Path, link: str, manifest: bool) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.zst").write_bytes(bytes(Compression("zstd").compressor().compress(b"secret")))
    pack(tmp_path / "packed", "zstd")
    place = tmp_path / "packed"
    if not manifest:
        for name in (MANIFEST_NAME, "xtrabackup_info"):
            (place / name).unlink()
    LINKS[link](place, outside)
    before = sorted(map(str, tmp_path.rglob("*")))
    with pytest.raises(UnsafeFile, match="is a symbolic link|is not a regular file but a FIFO"):
        unpack_directory(place, UnpackOptions(Decoding(decrypt=False)), Progress("test"))
    assert sorted(map(str, tmp_path.rglob("*"))) == before


def test_whoever_decrypts_what_no_manifest_authenticates_is_warned(tmp_path: Path) -> None:
    """Archives and directories of other tools have none; and ours without it cannot be told from them."""
    info = b"uuid = 1\ntool_name = xtrabackup\n"
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "xtrabackup_info.xbcrypt").write_bytes(encrypted(info))
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    words = ["xtrabackup", "--decrypt=AES256", f"--encrypt-key-file={tmp_path}/key", f"--target-dir={tmp_path}/backup"]
    assert NOT_AUTHENTICATED in reported(words)
    files = {"xtrabackup_checkpoints": b"backup_type = full-backuped\n", "xtrabackup_info": info}
    stream = raw_archive({**files, "ibdata1.xbcrypt": encrypted(bytes(64))}, None)
    (tmp_path / "dest").mkdir()
    words = ["xbstream", "-x", "--decrypt=AES256", f"--encrypt-key-file={tmp_path}/key", "-C", f"{tmp_path}/dest"]
    assert NOT_AUTHENTICATED in reported(words, stream)
    (tmp_path / "archive").write_bytes(stream)
    for state in ("verified", "extracted"):
        params: dict[str, Any] = {"state": state, "src": str(tmp_path / "archive"), "require_manifest": False}
        params.update(decrypt={"key_file": str(tmp_path / "key")})
        if state == "extracted":
            params["dest"] = str(tmp_path / state)
        done = subprocess.run(
            [sys.executable, "-m", xbstream.__name__],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": params}),
            capture_output=True,
            text=True,
            env=same_imports(),
            check=True,
        )
        (warning,) = json.loads(done.stdout)["warnings"]
        assert NOT_AUTHENTICATED in str(warning)  # newer versions of Ansible have more than the text


@pytest.mark.parametrize("version", [1, 2])
def test_backups_of_other_tools_which_never_had_a_mac_are_decrypted(tmp_path: Path, version: int) -> None:
    info = b"uuid = 1\ntool_name = xtrabackup\n"
    durable.write_file(tmp_path / "xtrabackup_info", info)
    durable.write_file(tmp_path / "xtrabackup_info.xbcrypt", old_encrypted(info, KEY, version))
    assert unpack(tmp_path) == ["xtrabackup_info.xbcrypt"]
    assert tree(tmp_path)["xtrabackup_info"] == info
