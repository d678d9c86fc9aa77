# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line on real servers: a user's script, secrets, failures, MySQL."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import console, load, playbook
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.mysql import ROOT
from ansible_collections.innodb.xtrabackup.tests.support.plays import BACKUP_GRANTS, PROJECT

PASSWORD = "in nobody's process list"


@pytest.fixture(name="programs")
def _programs(workdir: Path) -> Path:
    return console.build(workdir / "bin")


def guide_script() -> str:
    """The script of the guide, as it is written for mariadb-backup."""
    text = (PROJECT / "docs/docsite/rst/guide_console.rst").read_text(encoding="utf-8")
    block = text.partition(".. code-block:: bash\n   :name: nightly\n\n")[2]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("   "):
            break
        lines.append(line[3:])
    return "\n".join(lines)


def test_a_script_for_mariadb_backup_runs_with_only_the_programs_path_changed(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    source, target = make_server("source"), make_server("target", start=False)
    target.datadir.mkdir(mode=0o700)
    with load.WriteLoad(source) as writing:
        writing.wait_for(20)
        places = {
            "SOURCE_CNF": str(source.option_file),
            "TARGET_CNF": str(target.option_file),
            "BACKUPS": str(workdir / "backups"),
        }
        assignments = "".join(f"{name}={value}\n" for name, value in places.items())
        (workdir / "backups").mkdir()
        script = guide_script()
        assert "mariadb-backup --defaults-file" in script
        done = console.require(console.shell(assignments + console.with_paths(script, programs), workdir))
        writing.stop()
    assert done.said.count("completed OK!") == 3
    target.start()
    load.check_invariants(target)
    record = manifest.read(workdir / "backups" / "today").backup
    assert record["state"] == "prepared"
    # what a server has changed since is not what was asked for
    again = console.run(
        programs / "mariadb-backup",
        f"--defaults-file={target.option_file}",
        "--copy-back",
        f"--target-dir={workdir}/backups/today",
    )
    assert again.status == 1
    assert "completed OK!" not in again.said


def test_a_password_is_in_no_process_list_and_may_be_typed(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    server.create_account("backup", PASSWORD, BACKUP_GRANTS)
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT) ENGINE=MyISAM")
    words = [
        str(programs / "mariadb-backup"),
        "--no-defaults",
        "--backup",
        "--user=backup",
        f"--socket={server.socket}",
        f"--target-dir={workdir}/typed",
    ]
    with server.session() as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.t WRITE")
        given = subprocess.Popen([*words[:-1], f"--password={PASSWORD}", f"--target-dir={workdir}/given"])
        deadline = time.monotonic() + 60
        while not server.value(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'backup' AND info LIKE 'BACKUP STAGE%%'"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        shown = Path(f"/proc/{given.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in shown
        assert b"--password=xxx" in shown
        assert PASSWORD.encode() not in Path(f"/proc/{given.pid}/environ").read_bytes()
    assert given.wait(120) == 0
    controller, terminal = pty.openpty()
    # a session of its own, with this terminal: passwords are asked for there, by the tool whose stock asks
    typed = subprocess.Popen(
        ["setsid", "--ctty", "--wait", str(programs / "xtrabackup"), *words[1:], "--password"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = b""
    while b"password:" not in said:
        said += os.read(controller, 1000)
    os.write(controller, f"{PASSWORD}\n".encode())
    reader = threading.Thread(target=_drain, args=(controller,), daemon=True)
    reader.start()
    assert typed.wait(120) == 0
    assert manifest.read(workdir / "typed").files


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        return


@pytest.mark.parametrize("reader", ["head -c 100000", "true"])
def test_a_broken_pipe_ends_the_backup_in_seconds_and_is_no_success(
    programs: Path, workdir: Path, make_server: ServerFactory, reader: str
) -> None:
    server = make_server("source")
    began = time.monotonic()
    words = f"{programs}/xtrabackup --defaults-file={server.option_file} --backup --stream=xbstream"
    done = console.shell(f"{words} --parallel=4 --compress | {reader} > /dev/null", workdir)
    assert time.monotonic() - began < 60
    assert done.status == 1
    assert "broken pipe" in done.said
    assert "completed OK!" not in done.said
    # no lock is left behind
    server.execute("CREATE TABLE mysql.after_it (id INT)")


def test_a_reader_that_goes_while_a_lock_is_waited_for_ends_the_backup(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT) ENGINE=MyISAM")
    with server.session() as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.t WRITE")
        words = f"{programs}/xtrabackup --defaults-file={server.option_file} --backup --stream=xbstream"
        done = console.shell(f"{words} --ftwrl-wait-timeout=100 | true", workdir, timeout=60)
    assert done.status == 1
    assert "broken pipe" in done.said


def test_a_lock_that_is_not_granted_in_time_and_a_signal_leave_nothing(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT) ENGINE=MyISAM")
    words: list[str | Path] = [programs / "mariabackup", f"--defaults-file={server.option_file}", "--backup"]
    with server.session() as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.t WRITE")
        late = console.run(*words, "--startup-wait-timeout=1", f"--target-dir={workdir}/late")
        assert late.status == 1
        assert "was not granted within 1 s" in late.said
        assert "or raise --ftwrl-wait-timeout." in late.said
        assert " asked for, " not in late.said
        command = [*map(str, words), "--verbose", f"--target-dir={workdir}/stopped"]
        stopped = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert stopped.stderr is not None
        assert any(b"BACKUP STAGE START asked for, 60 s at most" in line for line in stopped.stderr)
        time.sleep(1)
        stopped.send_signal(signal.SIGTERM)
        _out, said = stopped.communicate(timeout=60)
        assert stopped.returncode == 1
        assert b"SIGTERM" in said
    assert sorted(path.name for path in workdir.iterdir()) == ["bin", "source"]


def test_a_signal_ends_a_backup_whose_reader_takes_nothing(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    words = [str(programs / "xtrabackup"), f"--defaults-file={server.option_file}", "--backup", "--stream=xbstream"]
    # nobody reads its standard output: the pipe is full after 64 KiB
    stalled = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert stalled.stdout is not None
    assert stalled.stderr is not None
    deadline = time.monotonic() + 60
    while not select.select([stalled.stdout], [], [], 0.1)[0]:
        assert time.monotonic() < deadline
    time.sleep(1)
    stalled.send_signal(signal.SIGTERM)
    assert stalled.wait(30) == 1
    said = stalled.stderr.read()
    assert b"SIGTERM" in said
    assert b"completed OK!" not in said
    server.execute("CREATE TABLE mysql.after_it (id INT)")


def test_what_the_engine_does_not_do_is_refused_before_anything_is_touched(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    words: list[str | Path] = [programs / "mariadb-backup", f"--defaults-file={server.option_file}", "--backup"]
    for option in ("--incremental-basedir=x", "--no-lock", "--databases=shop", "--history", "--galera-info"):
        done = console.run(*words, option, f"--target-dir={workdir}/refused")
        assert done.status == 1
        assert f"{option.partition('=')[0]} is not supported" in done.said
    other = console.run(*words, f"--datadir={workdir}", f"--target-dir={workdir}/refused")
    assert other.status == 1
    assert "the server that answers has its data in" in other.said
    assert not (workdir / "refused").exists()


def test_a_mysql_server_is_backed_up_encrypted_unpacked_prepared_and_restored(
    programs: Path, workdir: Path, make_mysql: MySQLFactory
) -> None:
    source, target = make_mysql("source"), make_mysql("target", start=False)
    source.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, text VARCHAR(100))")
    source.execute(f"INSERT INTO shop.t SELECT seq, REPEAT('x', 90) FROM {source.numbers(5000)}")
    source.execute(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='x', "
        "SOURCE_LOG_FILE='top.000001', SOURCE_LOG_POS=4",
        "START REPLICA SQL_THREAD",
    )
    (workdir / "key").write_bytes(os.urandom(32))
    (workdir / "key").chmod(0o600)
    key = f"--encrypt-key-file={workdir}/key"
    script = f"""
        mkdir restore
        xtrabackup --defaults-file={source.option_file} --backup --stream --compress --encrypt=AES256 {key} \\
            --safe-slave-backup --safe-slave-backup-timeout=30 \\
            --extra-lsndir=lsn --throttle=50 --lock-ddl=ON | xbstream -x -C restore -p 2
        xtrabackup --decrypt=AES256 {key} --decompress --remove-original --parallel=2 --target-dir=restore
        cmp restore/xtrabackup_checkpoints lsn/xtrabackup_checkpoints
        xtrabackup --prepare --target-dir=restore --use-memory=64M
        grep "^CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE=.top.000001., SOURCE_LOG_POS=4;" \\
            restore/xtrabackup_slave_info
        xtrabackup --defaults-file={target.option_file} --move-back --target-dir=restore
    """
    done = console.require(
        console.shell(console.with_paths(script, programs), workdir, path=f"{ROOT}/usr/sbin:{ROOT}/usr/bin")
    )
    assert done.said.count("completed OK!") == 4
    assert source.rows("SHOW REPLICA STATUS")[0]["Replica_SQL_Running"] == "Yes"
    target.start()
    assert_tables_equal(source, target)


def identity(place: Path) -> tuple[int, int, int, int]:
    status = place.stat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_gid


def test_a_directory_that_is_there_is_filled_where_it_is(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
    here = workdir / "here"
    here.mkdir()
    here.chmod(0o2710)
    os.chown(here, 65534 if os.geteuid() == 0 else os.geteuid(), -1)
    before = identity(here)
    script = f"""
        cd {here}
        xtrabackup --defaults-file={server.option_file} --backup --compress --target-dir=./
        tar czf ../here.tgz .
        xtrabackup --decompress --remove-original --target-dir=.
        xtrabackup --prepare --target-dir=. 2>&-
    """
    done = console.require(console.shell(console.with_paths(script, programs), workdir))
    assert done.said.count("completed OK!") == 2  # and one whose standard error was closed
    assert identity(here) == before
    assert manifest.read(here).backup["state"] == "prepared"
    packed = console.require(console.shell("tar tzf here.tgz", workdir)).out.decode().splitlines()
    assert {"./xtrabackup_manifest.json", "./shop/t.ibd.zst"} <= set(packed)
    assert not [name for name in packed if ".partial" in name or "unfinished" in name]

    # the modules: a destination made beforehand, and a mount point's lost+found
    dest, ready, unpacked = workdir / "dest", workdir / "ready", workdir / "unpacked"
    for place in (dest, ready, unpacked):
        (place / "lost+found").mkdir(parents=True)
        place.chmod(0o700)
    inodes = [identity(place) for place in (dest, ready, unpacked)]
    archive = str(workdir / "archive")
    for _round in range(2):
        results = [
            playbook.run_module("xtrabackup_backup", dict(server.login(), dest=str(dest))),
            playbook.run_module("xtrabackup_prepare", {"src": str(dest), "target_dir": str(ready)}),
            playbook.run_module("xbstream", {"state": "created", "src": str(dest), "dest": archive}),
            playbook.run_module("xbstream", {"state": "extracted", "src": archive, "dest": str(unpacked)}),
        ]
        assert [result["changed"] for result in results] == [_round == 0] * 4
        assert [identity(place) for place in (dest, ready, unpacked)] == inodes
    for place in (dest, ready, unpacked):
        manifest.verify_directory(place, manifest.read(place), digests=True)
        assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    assert manifest.read(ready).backup["state"] == "prepared"


def test_passwords_are_given_in_every_form_of_the_stock_tools(
    programs: Path, workdir: Path, make_server: ServerFactory
) -> None:
    server = make_server("source")
    server.create_account("backup", PASSWORD, BACKUP_GRANTS)
    server.create_account("nothing", "", BACKUP_GRANTS)
    (workdir / "empty.cnf").write_text("[client]\npassword=\n")
    rest = f"--backup --socket={server.socket} --stream=xbstream >/dev/null"
    stock = "/usr/bin/mariadb-backup"
    for program, words in (
        (stock, f'--no-defaults -p "{PASSWORD}" --user=backup'),
        (stock, "--no-defaults --password= --user=nothing"),
        ("mariadb-backup", f'--no-defaults -p "{PASSWORD}" --user=backup --innodb-flush-method O_DIRECT'),
        ("mariadb-backup", f'--no-defaults --password "{PASSWORD}" --user=backup --port= --binlog-info=1'),
        ("MYSQL_PWD=x mariadb-backup", "--no-defaults --password= --user=nothing"),
        ("xtrabackup", f"--defaults-file={workdir}/empty.cnf --user=nothing --lock-ddl=1"),
        (f'MYSQL_PWD="{PASSWORD}" xtrabackup', "--no-defaults --user=backup"),
    ):
        command = f"{program} {words} {rest}"
        done = console.shell(command if program == stock else console.with_paths(command, programs), workdir)
        assert done.completed, f"{command}: {done.said[-3000:]}"
    assert not (workdir / "O_DIRECT").exists()
    # a question without anybody to answer it ends at once
    asked = console.run(
        "setsid",
        "--wait",
        programs / "xtrabackup",
        "--no-defaults",
        "--backup",
        "--password",
        f"--target-dir={workdir}/x",
    )
    assert asked.status == 1
    assert "there is no terminal to ask at" in asked.said
    assert not (workdir / "x").exists()
