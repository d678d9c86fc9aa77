# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that bring the names of our own state: what would vanish with a staging place, or lie to the next job."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import main
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, StreamCorrupt
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format import file_kinds
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.state_names import is_state_name
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import filling
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.recovery import backup_directory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.restore import placement
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import unpack_directory
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import Extractor, extract_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import list_archive
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.staging import staging_inside
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    end,
    entry,
    payload,
    raw_archive,
    some_files,
    tree,
)

STATE = [
    filling.MARKER_NAME,
    f"{filling.STAGING_NAME}/x",
    ".xbstream.partial/x",
    f".unpacking{file_kinds.PARTIAL_SUFFIX}/shop/x.ibd",
    file_kinds.IN_PROGRESS_NAME,
    f"{file_kinds.IN_PROGRESS_NAME}.partial",
    file_kinds.MOVING_NAME,
    file_kinds.RESTORED_NAME,
    f"{placement.INNER_STAGING_NAME}/ibdata1",
    placement.INNER_LOCK_NAME,
    f"{placement.UNPACKED_SUFFIX}/ibdata1",
    f"{backup_directory.SCRATCH_NAME}/ib1",
    f"shop/t.ibd{file_kinds.STAGED_SUFFIX}",
    f"shop/t.ibd{file_kinds.PART_SUFFIX}",
    f"shop/t{file_kinds.RENAMING_SUFFIX}",
    f"shop/t{file_kinds.MOVED_NOTE_SUFFIX}",
    f"{MANIFEST_NAME}.partial",
    f"{MANIFEST_NAME}/x",
    f"{MANIFEST_NAME}.zst",
    f"{file_kinds.IN_PROGRESS_NAME}.zst.xbcrypt",
]
HONEST = [
    MANIFEST_NAME,
    "xtrabackup_checkpoints",
    "xtrabackup_info.zst.xbcrypt",
    "xtrabackup_binlog_pos_innodb",
    "mariadb_backup_checkpoints",
    "shop/t.ibd",
    "shop/xtrabackup_restored.json",
    "notes.partial",
    "shop.partial/t.ibd",
    "#innodb_redo/#ib_redo0",
]


@pytest.mark.parametrize("name", STATE)
def test_an_entry_with_a_name_of_our_own_state_is_refused_by_name(tmp_path: Path, name: str) -> None:
    files = some_files()
    manifest = Manifest({"id": "1"}, tuple(entry(path, data) for path, data in {**files, name: b"{}"}.items()))
    (tmp_path / "archive").write_bytes(raw_archive({**files, name: b"{}"}, manifest))
    for read in (list_archive, lambda source: extract_archive(source, tmp_path / "dest")):
        with pytest.raises(StreamCorrupt, match="keeps for its own state") as caught:
            read(source_at(tmp_path / "archive"))
        assert f"entry {name})" in str(caught.value)
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("name", [*STATE, MANIFEST_NAME])
def test_a_manifest_gives_no_entry_a_name_of_our_own_state(tmp_path: Path, name: str) -> None:
    files = some_files()
    named = [entry(path, data) for path, data in files.items()]
    named.append(entry(name, b"{}", "shop/innocent.new"))
    (tmp_path / "archive").write_bytes(
        raw_archive({**files, "shop/innocent.new": b"{}"}, Manifest({"id": "1"}, (*named,)))
    )
    with pytest.raises(FormatError, match="keeps for its own state") as caught:
        extract_archive(source_at(tmp_path / "archive"), tmp_path / "dest")
    assert name in str(caught.value)
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("name", [filling.STAGING_NAME, ".xbstream.partial"])
def test_nothing_of_a_stream_vanishes_with_the_place_where_it_was_unpacked(tmp_path: Path, name: str) -> None:
    """As the command line unpacks, into a directory that exists."""
    stream = payload(b"%s/x" % name.encode(), 0, b"data") + end(b"%s/x" % name.encode())
    with pytest.raises(StreamCorrupt, match="its own state"), staging_inside(tmp_path) as staging:
        extractor = Extractor(staging, ExtractOptions(require_manifest=False, any_files=True))
        try:
            extractor.run([extractor.reader(io.BytesIO(stream), "the stream")])
            extractor.finish()
        except BaseException as error:
            extractor.abort(error)
            raise
    assert os.listdir(tmp_path) == []


def test_a_packed_file_that_unpacks_to_our_own_state_is_refused(tmp_path: Path) -> None:
    packed = Compression("zstd").compressor().compress(b"{}")
    (tmp_path / f"{file_kinds.IN_PROGRESS_NAME}.zst").write_bytes(packed)
    (tmp_path / "shop.partial").mkdir()
    (tmp_path / "shop.partial" / "t.ibd.zst").write_bytes(packed)
    options = unpack_directory.UnpackOptions(Decoding())
    with pytest.raises(StreamCorrupt, match="its own state"):
        unpack_directory.unpack_directory(tmp_path, options, Progress("test"))
    (tmp_path / f"{file_kinds.IN_PROGRESS_NAME}.zst").unlink()
    assert unpack_directory.unpack_directory(tmp_path, options, Progress("test")) == ["shop.partial/t.ibd.zst"]
    assert tree(tmp_path)["shop.partial/t.ibd"] == b"{}"


def test_the_command_line_packs_no_state_that_it_would_not_unpack(tmp_path: Path) -> None:
    (tmp_path / file_kinds.RESTORED_NAME).write_bytes(b"{}")
    words = ["xbstream", "-c", "-C", str(tmp_path), file_kinds.RESTORED_NAME]
    script = f"import sys; from {main.__name__} import main; sys.argv = {words}; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=same_imports()
    )
    assert run.returncode != 0
    assert "its own state" in run.stderr
    assert run.stdout == ""


def test_names_that_backups_have_are_no_state() -> None:
    assert MANIFEST_NAME == "xtrabackup_manifest.json"
    assert list(filter(is_state_name, HONEST)) == []
    assert list(filter(is_state_name, STATE)) == STATE
