# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``xbstream``: what is no success, and what is left then, at the places where one could be claimed by mistake."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import main
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import StreamTruncated, TargetUnsafe
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.file_kinds import MANIFEST_NAME
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.entry import Decoding
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import Extractor
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.staging import staging_inside
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import (
    chunks_of,
    end,
    make_archive,
    old_encrypted,
    payload,
    some_files,
    tree,
)

AS_STORED = Decoding(decompress=False, decrypt=False)
OURS = {"xtrabackup_info": b"tool_name = innodb.xtrabackup\n"}


def xbstream(*words: str | Path, stdin: bytes = b"", redirect: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run ``xbstream`` in a process of its own, from a shell that may close descriptors."""
    start = f"import sys; from {main.__name__} import main; sys.exit(main())"
    return subprocess.run(
        ["bash", "-c", f'exec "$@" {redirect}', "bash", sys.executable, "-c", start, "xbstream", *map(str, words)],
        input=stdin,
        capture_output=True,
        env=same_imports(),
        check=False,
    )


def ends_of_entries(stream: bytes) -> list[int]:
    """How long the stream is at the end of each entry but the last."""
    ends, position = [], 0
    for _path, chunk in chunks_of(stream):
        position += len(chunk)
        if chunk[9:10] == b"E":
            ends.append(position)
    return ends[:-1]


@pytest.mark.parametrize(("algorithm", "key"), [(None, None), ("zstd", None), ("lz4", bytes(16)), (None, bytes(32))])
def test_a_backup_that_ends_between_two_files_is_incomplete_also_while_it_stays_encoded(
    tmp_path: Path, algorithm: str | None, key: bytes | None
) -> None:
    make_archive(tmp_path / "stream", some_files() | OURS, algorithm=algorithm, key=key)
    stream = (tmp_path / "stream").read_bytes()
    ends = ends_of_entries(stream)
    assert len(ends) == len(some_files())
    for length in ends[:-1]:  # the last one has xtrabackup_info, and the program looks into it
        extractor = Extractor(None, ExtractOptions(require_manifest=False, decoding=AS_STORED, any_files=True))
        with pytest.raises(StreamTruncated, match="every complete backup"):
            extractor.run([extractor.reader(io.BytesIO(stream[:length]), "standard input")])
            extractor.finish()
    (tmp_path / "into").mkdir()
    for length in (ends[0], ends[-1]):
        done = xbstream("-x", "-C", tmp_path / "into", stdin=stream[:length])
        assert done.returncode == 1
        assert list((tmp_path / "into").iterdir()) == []
    assert xbstream("-x", "-C", tmp_path / "into", stdin=stream).returncode == 0
    assert (tmp_path / "into" / MANIFEST_NAME).exists()


def test_a_backup_of_another_tool_is_taken_when_it_says_all_of_itself(tmp_path: Path) -> None:
    names = ["ibdata1.qp", "shop/t.ibd.qp", "xtrabackup_checkpoints", "xtrabackup_info.qp"]
    entries = [payload(name.encode(), 0, b"of quicklz") + end(name.encode()) for name in names]
    (tmp_path / "into").mkdir()
    done = xbstream("-x", "-C", tmp_path / "into", stdin=b"".join(entries))
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(tree(tmp_path / "into")) == names
    for count in (1, 2, 3):
        assert xbstream("-x", "-C", tmp_path / "into", stdin=b"".join(entries[:count])).returncode == 1


def test_a_stream_into_a_closed_standard_output_went_nowhere_and_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    for redirect in (">&-", ">&- <&-", ">&- 2>&-", ">&- 2>&- <&-"):
        assert xbstream("-c", "-C", tmp_path, "file", redirect=redirect).returncode == 1
    done = xbstream("-c", "-C", tmp_path, "file", redirect="<&- 2>&-")
    (tmp_path / "into").mkdir()
    # what has nothing to say on standard output does without
    assert xbstream("-x", "-C", tmp_path / "into", stdin=done.stdout, redirect=">&- 2>&-").returncode == 0
    assert tree(tmp_path / "into") == {"file": b"content"}


def test_a_flipped_bit_and_a_wrong_key_leave_nothing(tmp_path: Path) -> None:
    make_archive(tmp_path / "stream", some_files() | OURS, algorithm="zstd", key=bytes(32))
    (tmp_path / "into").mkdir()
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "other").write_bytes(bytes(31) + b"1")
    for name in ("key", "other"):
        (tmp_path / name).chmod(0o600)
    stream = bytearray((tmp_path / "stream").read_bytes())
    unpack = ("-x", "-p", "4", "--decompress", "--decrypt=AES256", "-C", tmp_path / "into", "--encrypt-key-file")
    wrong = xbstream(*unpack, tmp_path / "other", stdin=bytes(stream))
    assert wrong.returncode == 1
    assert b"key" in wrong.stderr
    stream[len(stream) // 2] ^= 1
    flipped = xbstream(*unpack, tmp_path / "key", stdin=bytes(stream))
    assert flipped.returncode == 1
    assert b"standard input" in flipped.stderr
    assert (wrong.stdout, flipped.stdout) == (b"", b"")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("obstacle", ["link", "file"])
def test_nothing_is_unpacked_through_what_only_looks_like_a_directory(tmp_path: Path, obstacle: str) -> None:
    into, elsewhere = tmp_path / "into", tmp_path / "elsewhere"
    into.mkdir()
    elsewhere.mkdir()
    if obstacle == "link":
        (into / "shop").symlink_to(elsewhere)
    else:
        (into / "shop").write_bytes(b"a file")
    before = sorted(into.iterdir())
    with pytest.raises(TargetUnsafe, match="shop"), staging_inside(into) as staging:
        for name in ("first", "shop/t.ibd"):
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(b"new")
    assert sorted(into.iterdir()) == before
    assert list(elsewhere.iterdir()) == []


def test_a_message_of_the_command_line_speaks_of_no_playbook(tmp_path: Path) -> None:
    done = xbstream("-c", "-C", tmp_path, "missing")
    assert done.returncode == 1
    assert b"missing" in done.stderr
    assert b"become" not in done.stderr


@pytest.mark.parametrize("version", [1, 2])
def test_a_stream_of_old_containers_is_decrypted_with_the_right_key_only(tmp_path: Path, version: int) -> None:
    files = {"xtrabackup_info": b"uuid = 1\nname = \n", "shop/t.MYD": b"rows" * 100}
    stream = b"".join(
        payload(name, 0, old_encrypted(content, bytes(32), version)) + end(name)
        for name, content in ((f"{path}.xbcrypt".encode(), content) for path, content in files.items())
    )
    (tmp_path / "into").mkdir()
    for name, key in (("key", bytes(32)), ("other", bytes(31) + b"1")):
        (tmp_path / name).write_bytes(key)
        (tmp_path / name).chmod(0o600)
    unpack = ("-x", "--decrypt=AES256", "-C", tmp_path / "into", "--encrypt-key-file")
    wrong = xbstream(*unpack, tmp_path / "other", stdin=stream)
    assert wrong.returncode == 1
    assert b"another key" in wrong.stderr
    assert list((tmp_path / "into").iterdir()) == []
    assert xbstream(*unpack, tmp_path / "key", stdin=stream).returncode == 0
    assert tree(tmp_path / "into") == files
