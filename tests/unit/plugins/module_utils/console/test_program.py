# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as it is built: one file, the same each time, without Ansible; what it shows of itself while it runs."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.console import messages, process_list
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.dialects import DIALECTS
from ansible_collections.innodb.xtrabackup.plugins.module_utils.console.tables import options_of
from ansible_collections.innodb.xtrabackup.tests.support import console
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports
from ansible_collections.innodb.xtrabackup.tests.support.streams import fingerprints, make_archive, prints, some_files


@pytest.fixture(name="programs", scope="module")
def _programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return console.build(tmp_path_factory.mktemp("bin"))


def test_the_program_is_the_same_bytes_each_time_and_knows_no_ansible(programs: Path, tmp_path: Path) -> None:
    again = console.build(tmp_path) / "xtrabackup.pyz"
    assert again.read_bytes() == (programs / "xtrabackup.pyz").read_bytes()
    with zipfile.ZipFile(again) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert not any(
            b"import ansible" in archive.read(name) or b"from ansible" in archive.read(name) for name in names
        )
        assert "innodb_xtrabackup/engine/errors/__init__.py" in names
    assert again.stat().st_mode & 0o777 == 0o755


def test_the_program_needs_nothing_of_this_project_to_run(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "xbstream").write_bytes((programs / "xtrabackup.pyz").read_bytes())
    (tmp_path / "xbstream").chmod(0o755)
    done = subprocess.run([tmp_path / "xbstream", "--version"], env={}, cwd="/", capture_output=True, check=True)
    assert done.stdout == b"xbstream 0.1.0 (innodb.xtrabackup)\n"
    assert done.stderr == b""


def test_the_manual_comes_out_of_the_program(programs: Path) -> None:
    done = console.require(console.run(programs / "xtrabackup.pyz", "manual", "mbstream"))
    assert done.out.startswith(b".TH MBSTREAM 1")


def test_misuse_has_a_status_of_its_own_and_says_nothing_on_standard_output(programs: Path) -> None:
    for words in (["--no-such-option"], ["--backup", "--prepare"], ["--target-dir=/x"], ["--backup", "--incremental"]):
        done = console.run(programs / "xtrabackup", "--no-defaults", *words)
        assert done.status in (1, 2)
        assert done.out == b""
        assert "completed OK!" not in done.said


def test_a_password_cannot_be_asked_for_where_nobody_is(programs: Path) -> None:
    words = [str(programs / "xtrabackup"), "--no-defaults", "--backup", "--password", "--target-dir=/nowhere/at-all"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=False)
    assert done.returncode == 1
    assert b"there is no terminal to ask at" in done.stderr
    assert b"Traceback" not in done.stderr


def test_passwords_are_not_shown_by_print_defaults(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "my.cnf").write_text("[xtrabackup]\npassword = hush\n[mysqld]\ndatadir = /d\n[client]\nuser = me\n")
    words = ["--print-defaults", f"--defaults-file={tmp_path}/my.cnf", "--backup", "--password=hush"]
    done = console.require(console.run(programs / "xtrabackup", *words))
    assert b"--datadir=/d" in done.out
    assert b"--user=me" in done.out
    assert b"--backup" in done.out
    assert b"hush" not in done.out


@pytest.mark.parametrize(
    ("program", "words", "blanked"),
    [
        ("xtrabackup", ["--password=secret", "x"], "--password=xxxxxx x"),
        ("xtrabackup", ["--pass=secret"], "--pass=xxxxxx"),
        ("xtrabackup", ["--backup", "-psecret"], "--backup -pxxxxxx"),
        ("xtrabackup", ["--encrypt-key", "secret"], "--encrypt-key xxxxxx"),
        ("xtrabackup", ["--encrypt_key=secret"], "--encrypt_key=xxxxxx"),
        ("xtrabackup", ["-uspam", "--user=spam"], "-uspam --user=spam"),
        ("xbstream", ["-xksecret"], "-xkxxxxxx"),
        ("xbstream", ["-k", "secret", "-p", "4"], "-k xxxxxx -p 4"),
    ],
)
def test_secrets_of_the_command_line_are_blanked(program: str, words: list[str], blanked: str) -> None:
    modules = "ansible_collections.innodb.xtrabackup.plugins.module_utils.console"
    script = (
        f"import sys\nfrom {modules} import process_list, dialects, tables\n"
        f"options = tables.options_of(dialects.DIALECTS[{program!r}])\n"
        "words = list(sys.argv[1:])\n"
        "assert process_list.blank(words, options)\n"
        "assert words == sys.argv[1:] and not any('xxx' in word for word in words)\n"
        "shown = open('/proc/self/cmdline', 'rb').read().split(b'\\0')[:-1]\n"
        "print(b' '.join(shown[-len(words):]).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], env=same_imports(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == blanked


def test_how_far_a_job_is_can_be_seen() -> None:
    status = {"phase": "copying", "bytes": 1 << 29, "bytes_total": 1 << 30, "mib_per_second": 100.0, "eta_seconds": 5.1}
    assert messages.render(status) == f"copying: [{'#' * 15}{' ' * 15}]  50% of 1.0 GiB, 100.0 MiB/s, 5 s left"
    assert messages.render({**status, "bytes_total": None}) == "copying: 512.0 MiB, 100.0 MiB/s"


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(programs: Path, tmp_path: Path) -> None:
    make_archive(tmp_path / "stream", some_files(), algorithm="zstd")
    with open(tmp_path / "stream", "rb") as stream:
        (tmp_path / "packed").mkdir()
        subprocess.run([programs / "xbstream", "-xC", tmp_path / "packed"], stdin=stream, check=True)
    words = [str(programs / "xtrabackup"), "--no-defaults", "--decompress", f"--target-dir={tmp_path}/packed"]
    controller, terminal = pty.openpty()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=terminal) as job:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed with the job
            while data := os.read(controller, 4096):
                shown += data
        assert job.wait() == 0
    os.close(controller)
    assert b"\r\x1b[K" in shown
    assert shown.rstrip().endswith(b"completed OK!")
    assert "\x1b" not in console.run(*words).said


def test_words_behind_the_end_of_options_are_no_secrets() -> None:
    assert list(process_list.secrets_in(["--", "--password=x"], options_of(DIALECTS["xtrabackup"]))) == []


def test_a_stream_is_unpacked_among_other_files_and_never_over_them(programs: Path, tmp_path: Path) -> None:
    files = some_files()
    make_archive(tmp_path / "stream", files)
    stream = (tmp_path / "stream").read_bytes()
    done = console.run(programs / "xbstream", "-x", "-p4", cwd=tmp_path, stdin=stream)
    console.require(done)
    found = fingerprints(tmp_path)
    assert found.pop("xtrabackup_manifest.json")
    assert found.pop("stream")
    assert found == prints(files)
    again = console.run(programs / "xbstream", "-x", cwd=tmp_path, stdin=stream)
    assert again.status == 1
    assert "holds files of these names already" in again.said
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_stream_that_ends_early_leaves_nothing(programs: Path, tmp_path: Path) -> None:
    make_archive(tmp_path / "stream", {**some_files(), "xtrabackup_info": b"tool_name = innodb.xtrabackup\n"})
    stream = (tmp_path / "stream").read_bytes()
    (tmp_path / "into").mkdir()
    manifest_at = stream.index(b"xtrabackup_manifest.json") - 14
    for part in (b"", stream[:-1], stream[: len(stream) // 2], stream[:manifest_at]):
        done = console.run(programs / "mbstream", "-x", "-C", tmp_path / "into", stdin=part)
        assert done.status == 1
        assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize("key", [None, bytes(range(32))])
def test_encoded_files_stay_so_unless_they_are_wanted_otherwise(
    programs: Path, tmp_path: Path, key: bytes | None
) -> None:
    files = some_files()
    make_archive(tmp_path / "stream", files, algorithm="zstd", key=key)
    stream = (tmp_path / "stream").read_bytes()
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "key").chmod(0o600)
    decrypt = ["--decrypt=AES256", f"--encrypt-key-file={tmp_path}/key"] if key else []
    for name in ("at_once", "later", "changed"):
        (tmp_path / name).mkdir()
    unpack: list[str | Path] = [programs / "xbstream", "-x", "-C"]
    console.require(console.run(*unpack, tmp_path / "at_once", *decrypt, "--decompress", stdin=stream))
    console.require(console.run(*unpack, tmp_path / "later", stdin=stream))
    suffix = ".zst.xbcrypt" if key else ".zst"
    assert (tmp_path / "later" / f"ibdata1{suffix}").exists()
    later: list[str | Path] = [
        programs / "xtrabackup",
        "--no-defaults",
        f"--target-dir={tmp_path}/later",
        "--parallel=2",
    ]
    if key:
        console.require(console.run(*later, *decrypt, "--remove-original"))
        assert (tmp_path / "later" / "ibdata1.zst").exists()
        assert not (tmp_path / "later" / "ibdata1.zst.xbcrypt").exists()
    done = console.require(console.run(*later, "--decompress"))
    assert done.completed
    assert (tmp_path / "later" / "ibdata1.zst").exists()
    # again, since the packed files are still there: nothing to do but to remove them is not asked for
    assert console.run(*later, "--decompress").completed
    for path in (tmp_path / "later").rglob("*.zst"):
        path.unlink()
    assert fingerprints(tmp_path / "later") == fingerprints(tmp_path / "at_once")
    found = fingerprints(tmp_path / "at_once")
    assert found.pop("xtrabackup_manifest.json")
    assert found == prints(files)


def test_files_that_were_changed_while_they_were_packed_are_noticed(programs: Path, tmp_path: Path) -> None:
    make_archive(tmp_path / "stream", some_files(), algorithm="lz4")
    other = some_files(seed=2)
    make_archive(tmp_path / "other", {**other, "xtrabackup_info": b""}, algorithm="lz4")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    unpack: list[str | Path] = [programs / "xbstream", "-x", "-C"]
    console.require(console.run(*unpack, tmp_path / "one", stdin=(tmp_path / "stream").read_bytes()))
    console.require(console.run(*unpack, tmp_path / "two", stdin=(tmp_path / "other").read_bytes()))
    (tmp_path / "two" / "ibdata1.lz4").replace(tmp_path / "one" / "ibdata1.lz4")
    before = fingerprints(tmp_path / "one")
    done = console.run(programs / "xtrabackup", "--no-defaults", "--decompress", f"--target-dir={tmp_path}/one")
    assert done.status == 1
    assert "ibdata1: other content" in done.said
    assert fingerprints(tmp_path / "one") == before


def test_any_files_can_be_packed_and_unpacked(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "from/db").mkdir(parents=True)
    (tmp_path / "into").mkdir()
    (tmp_path / "from/db/one").write_bytes(os.urandom(3 << 20))
    (tmp_path / "from/two").write_bytes(b"")
    words: list[str | Path] = [programs / "xbstream", "-c", "-C", tmp_path / "from", "./db/one", "two"]
    packed = console.require(console.run(*words))
    console.require(console.run(programs / "mbstream", "-x", "-C", tmp_path / "into", stdin=packed.out))
    assert fingerprints(tmp_path / "into") == fingerprints(tmp_path / "from")
    for name in ("/etc/passwd", "../key", "db", "missing"):
        done = console.run(*words, name)
        assert done.status == 1
        assert done.out == b""


def test_a_stream_into_a_full_device_is_an_error(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(4 << 20))
    with open("/dev/full", "wb") as full:
        words: list[str | Path] = [programs / "xbstream", "-c", "big"]
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert b"standard output" in done.stderr


def test_closed_descriptors_are_never_written_to_by_accident(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    done = console.shell(f"{programs}/xbstream -c file >&- <&-", tmp_path)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert done.status in (0, 1)
