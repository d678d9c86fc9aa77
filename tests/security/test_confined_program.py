# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is started as the recovering server is, and turns against the host."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import ConnectionFailed, StorageError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import accounts, confinement, kernel
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.confinement import Account
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.handover import handed_over
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.server import login_channel
from ansible_collections.innodb.xtrabackup.tests.support.recovery_server import Rights, rights_of

SHELL = Path("/bin/sh")
BEYOND = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/etc", "/proc/sys/kernel")


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    """A directory in one that only root may enter."""
    place = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir="/var/tmp"))
    (place / "backup").mkdir(mode=0o750)
    yield place
    shutil.rmtree(place)


def run(script: str, directory: Path, *, program: Path = SHELL) -> tuple[int, str, str]:
    """Exit status, output, and why there were no namespaces."""
    with handed_over(directory, "scratch") as held:
        held.hand_over()
        process, reason = confinement.start(
            [str(program), "-c", script],
            program=program,
            directory=held.directory,
            account=held.account,
            last=lambda: None,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _none = process.communicate()
        held.end_processes()
        held.reclaim()
    return process.returncode, output.decode(), reason


def without_namespaces(monkeypatch: pytest.MonkeyPatch, number: int = errno.EPERM) -> None:
    def refused(_flags: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel, "unshare", refused)


# --- what it may do ------------------------------------------------------------------------------


def test_it_writes_its_directory_and_nothing_else(place: Path) -> None:
    everybodys = place / "everybodys"
    everybodys.mkdir()
    everybodys.chmod(0o777)
    place.chmod(0o755)
    (everybodys / "file").write_text("precious")
    (everybodys / "file").chmod(0o666)
    tries = [f"touch {parent}/planted-by-a-test" for parent in BEYOND]
    tries += [f"touch {everybodys}/planted", f"echo bad > {everybodys}/file", f"rm -f {everybodys}/file && false"]
    script = " ; ".join(f"({attempt}) 2>/dev/null && echo CAN: '{attempt}'" for attempt in tries)
    script += f" ; touch {place}/backup/made && cd {place}/backup && pwd"
    status, output, reason = run(script, place / "backup")
    assert (status, output, reason) == (0, f"{place}/backup\n", "")
    assert (everybodys / "file").read_text() == "precious"
    assert (place / "backup" / "made").stat().st_uid == 0
    assert not any(Path(parent, "planted-by-a-test").exists() for parent in BEYOND)


def test_the_same_on_kernels_before_5_12(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_place: str, _added: int, _removed: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(kernel, "_set_attributes", missing)
    place.chmod(0o777)
    script = "; ".join(f"touch {parent}/planted-by-a-test" for parent in (*BEYOND, str(place)))
    # the table also has what lies below another mount, where the program does not get to
    mounts = 'while read -r what where rest; do [ ! -e "$where" ] || echo "$what $where $rest"; done </proc/self/mounts'
    status, output, reason = run(f"({script}) 2>/dev/null; touch made && {mounts}", place / "backup")
    assert (status, reason) == (0, "")
    options = {line.split()[1]: line.split()[3].split(",") for line in output.splitlines()}
    assert [path for path, words in options.items() if words[0] == "rw"] == [f"{place}/backup"]
    assert {"nosuid", "nodev", "noexec"} <= set(options[f"{place}/backup"])
    assert not (place / "planted-by-a-test").exists()


def test_it_has_no_rights_no_network_and_can_get_none(place: Path) -> None:
    status, output, _reason = run("cat /proc/self/status /proc/net/dev; ls -l /proc/self/ns", place / "backup")
    assert status == 0
    fields = dict(line.split(":", 1) for line in output.splitlines() if line.count(":") and line[0].isupper())
    uids = set(fields["Uid"].split())
    assert len(uids) == 1
    assert accounts.FIRST_UID <= int(uids.pop()) <= accounts.LAST_UID
    assert set(fields["Gid"].split()) == set(fields["Uid"].split())
    assert fields["Groups"].strip() == ""
    assert {fields[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"].strip() == "1"
    assert "eth" not in output
    for name in ("net", "mnt", "ipc"):
        assert os.readlink(f"/proc/self/ns/{name}") not in output


def test_sockets_of_other_programs_are_out_of_its_sight(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        path = Path("/run") / f"xtrabackup-test-{os.getpid()}.sock"
        listening.bind(str(path))
        try:
            path.chmod(0o777)
            assert run(f"test -e /run && test -e {path}", place / "backup")[0] == 1
        finally:
            path.unlink()


def test_a_process_that_it_leaves_behind_is_killed(place: Path) -> None:
    started = "setsid sh -c 'while :; do echo x >> left; sleep 0.05; done' > /dev/null 2>&1 & echo $!"
    status, output, _reason = run(started, place / "backup")
    assert status == 0
    with contextlib.suppress(FileNotFoundError):
        # whoever is its parent now may not have asked for it yet
        assert Path(f"/proc/{output.strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


# --- where it can be -----------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(), ("run",), ("deep", "deeper")])
def test_paths_stay_the_same_below_what_it_must_not_enter(place: Path, names: tuple[str, ...]) -> None:
    directory = place.joinpath(*names, "backup")
    directory.mkdir(parents=True, exist_ok=True)
    (place / "secret").write_text("readable, were it not for the directory")
    status, output, reason = run(f"cd {directory} && pwd && ls {place}/secret", directory)
    assert (status != 0, reason) == (True, "")
    assert output.splitlines()[0] == str(directory)
    assert "No such file" in output


def test_a_program_below_what_it_must_not_enter_is_reached_with_what_is_beside_it(place: Path) -> None:
    home = place / "server"
    (home / "bin").mkdir(parents=True)
    (home / "share").write_text("messages")
    shutil.copy(SHELL, home / "bin" / "sh")
    status, output, _reason = run(f"cat {home}/share && touch made", place / "backup", program=home / "bin" / "sh")
    assert (status, output) == (0, "messages")


@pytest.mark.parametrize("closed", ["", "closed"])
def test_a_program_and_a_directory_that_have_a_home_in_common(place: Path, closed: str) -> None:
    place.chmod(0o755)
    home = place / "home"
    (home / "bin").mkdir(parents=True)
    shutil.copy(SHELL, home / "bin" / "sh")
    directory = home / closed / "backup"
    directory.mkdir(parents=True)
    directory.parent.chmod(0o700 if closed else 0o755)
    script = f"cd {directory} && touch made && pwd; touch {home}/bin/planted 2>/dev/null || echo refused"
    status, output, reason = run(script, directory, program=home / "bin" / "sh")
    assert (status, output, reason) == (0, f"{directory}\nrefused\n", "")
    assert (directory / "made").exists()


def test_without_namespaces_it_runs_where_it_can_be_reached(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    place.chmod(0o755)
    status, output, reason = run("cat /proc/self/status; touch made", place / "backup")
    assert (status, reason) == (0, "making namespaces: Operation not permitted")
    assert "NoNewPrivs:\t1" in output
    assert "Uid:\t0" not in output


def test_without_namespaces_a_closed_parent_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_namespaces(monkeypatch)
    with pytest.raises(StorageError, match=f"{place} lets nobody else through") as caught:
        run("true", place / "backup")
    assert f"chmod o+x {place}" in caught.value.remedy
    assert (place / "backup").stat().st_uid == 0


def test_where_no_account_can_be_had_nothing_runs_as_root(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_ids: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setresuid", refused)
    with pytest.raises(StorageError, match="is never run as root"):
        run("touch ran", place / "backup")
    assert not (place / "backup" / "ran").exists()
    with pytest.raises(ValueError, match="account"):
        confinement.start(["sh"], program=SHELL, directory=place, account=None, last=lambda: None, env={})


def test_what_took_the_directorys_place_is_not_shown(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unshare = kernel.unshare

    def swapped(flags: int) -> None:
        unshare(flags)
        (place / "backup").rename(place / "aside")
        (place / "backup").symlink_to("/etc")

    monkeypatch.setattr(kernel, "unshare", swapped)
    account = Account(*[accounts.free_account(())] * 2)
    with pytest.raises(StorageError, match="cannot be isolated"):
        confinement.start(
            ["sh", "-c", "true"], program=SHELL, directory=place / "backup", account=account, last=lambda: None, env={}
        )


# --- the account ---------------------------------------------------------------------------------


def test_an_account_is_nobodys_and_not_in_use() -> None:
    first = accounts.free_account(())
    reserved = set(range(accounts.FIRST_UID, accounts.LAST_UID + 1)) - {first}
    assert accounts.free_account(reserved) == first
    process = subprocess.Popen(["sleep", "60"], user=first, group=first, extra_groups=[])
    try:
        with pytest.raises(StorageError, match="is taken"):
            accounts.free_account(reserved)
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        accounts.end_processes(first)
        waiting.join()
        assert accounts.free_account(reserved) == first
    finally:
        process.kill()
        process.wait()


def test_the_socket_of_another_process_is_not_talked_to(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        login_channel.connect_to_process(str(tmp_path / "socket"), os.getpid(), 5, "socket").close()
        with pytest.raises(ConnectionFailed, match=f"is of process {os.getpid()}"):
            login_channel.connect_to_process(str(tmp_path / "socket"), 1, 5, "socket")


def test_the_rights_of_a_process_are_told() -> None:
    mine = rights_of(Path("/proc/self"))
    assert isinstance(mine, Rights)
    assert mine.own_namespaces == ()
    assert mine.uids == {os.geteuid()}
