# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay secret: passwords, keys and tokens that exist nowhere else are looked for while a replica is made and
an encrypted backup taken and restored, and in everything that this leaves."""

from __future__ import annotations

import os
import re
import secrets
import string
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support.canaries import Finding, Watch, forms_of, search
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.playbook import run_module
from ansible_collections.innodb.xtrabackup.tests.support.plays import PlayResult, failed, succeeded

# The files that are meant to hold a secret, by the secret; nobody but their owner may be able to read them.
HOLDERS = {
    "backup password": r"variables\.yml|AnsiballZ_xtrabackup_engine\.py",
    "wrong password": r"variables\.yml|AnsiballZ_xtrabackup_engine\.py",
    "replication password": r"variables\.yml|AnsiballZ_xtrabackup_engine\.py",
    "encryption key": r"key",
    "token": r"variables\.yml|AnsiballZ_xtrabackup_engine\.py",
    # the servers' own, which MySQL writes under a temporary name first: that of a transfer is in no file
    "private key": r"((server|client|ca)-key\.pem|private_key\.pem)(\.temp)?",
}
# A module comes with its arguments in it (AnsiballZ). Before ansible-core puts it on a host, it makes this file of it,
# which is there for some milliseconds, so that it is not seen in every run.
BEFORE_TRANSFER = r".*/ansible-local-[^/]+/tmp[^/.]+"
# A server keeps the password of its channel: MariaDB in a file, MySQL in a table of its own, so that it is in the redo
# log and in backups, too. All of that is in a data directory or a backup, which are their owner's alone.
CHANNEL_PASSWORD = {
    "mariadb": r"master\.info",
    "mysql": r"mysql\.ibd|undo_00\d|#ib_redo\d+(_tmp)?|#ib_16384_\d+\.dblwr|xtrabackup_logfile",
}


def canary(length: int = 32) -> str:
    """A secret that exists nowhere else."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _number in range(length))


def leaks(findings: Iterable[Finding], flavor: str = "") -> list[str]:
    """Those of ``findings`` that are not in a file that is meant to hold the secret, or open to others there; but for
    the channel's password in files of a server of ``flavor``."""
    return sorted(
        f"{one.secret}: {one.where}{' (open to others)' if one.open else ''}"
        for one in findings
        if not (
            one.secret == "replication password"
            and re.fullmatch(CHANNEL_PASSWORD.get(flavor, ""), Path(one.where).name)
        )
        if one.open or not _may_hold(one.where, HOLDERS[one.secret.rstrip(" 0123456789")])
    )


def _may_hold(where: str, holders: str) -> bool:
    return bool(
        re.fullmatch(holders, Path(where).name) or ("AnsiballZ" in holders and re.fullmatch(BEFORE_TRANSFER, where))
    )


# --- the search itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["arguments", "environment"])
def test_a_secret_that_a_process_has_shown_is_found(place: str, workdir: Path) -> None:
    secret = canary()
    with Watch(workdir) as watch:
        command = [sys.executable, "-c", "import time; time.sleep(1)", *([f"--key={secret}"] * (place == "arguments"))]
        environment = {**os.environ, **({"KEY": f"x{secret}x"} if place == "environment" else {})}
        subprocess.run(command, env=environment, check=True)
        answer = watch.ask({"token": secret.encode(), "wrong password": canary().encode()})
    assert {(one.secret, one.where.split()[0]) for one in answer["findings"]} == {("token", place)}
    assert leaks(answer["findings"])


@pytest.mark.parametrize("form", range(len(forms_of(b"x"))))
def test_a_secret_in_a_file_is_found_in_every_form_also_if_it_is_there_for_a_moment(form: int, workdir: Path) -> None:
    secret = canary().encode()
    text = b"some words" + (forms_of(secret)[form]) + b"more of them"
    with Watch(workdir) as watch:
        for name, mode in {"key": 0o600, "sender.json": 0o644}.items():
            (workdir / name).touch(mode=mode)
            (workdir / name).chmod(mode)
            (workdir / name).write_bytes(text)
        found = search(workdir, {"encryption key": secret})
        time.sleep(1)
        (workdir / "key").unlink()
        answer = watch.ask({"encryption key": secret}, files=("sender.json",))
    places = {Path(one.where).name: one.open for one in found}
    assert places == {"key": False, "sender.json": True}
    assert {Path(one.where).name: one.open for one in answer["findings"]} == places
    # the watch may look before there is anything in the file
    assert [content for content in answer["contents"] if content] == [text]
    assert leaks(found) == [f"encryption key: {workdir / 'sender.json'} (open to others)"]


def test_ansibles_own_copy_of_a_module_may_hold_what_the_module_may_but_not_open_to_others() -> None:
    copy = "/home/dba/.ansible/tmp/ansible-local-6504ng56kyb4/tmp65xxs7i7"
    other = "/home/dba/.ansible/tmp/tmp65xxs7i7"
    assert leaks([Finding("backup password", copy, open=False)]) == []
    assert leaks([Finding("backup password", copy, open=True)]) == [f"backup password: {copy} (open to others)"]
    assert leaks([Finding("backup password", other, open=False)]) == [f"backup password: {other}"]
    assert leaks([Finding("encryption key", copy, open=False)]) == [f"encryption key: {copy}"]


# --- the whole of it -----------------------------------------------------------------------------

_TAP = """
import os, syslog
def _tap(*arguments):
    with open(os.environ["XTRABACKUP_TEST_SYSLOG"], "a") as log:
        log.write(f"{arguments}\\n")
syslog.syslog = _tap
"""


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_no_secret_is_seen_anywhere_while_a_replica_is_made_and_an_encrypted_backup_restored(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, flavor: str
) -> None:
    known = {
        name: canary()
        for name in ("backup password", "replication password", "wrong password", "encryption key", "token")
    }
    logs = workdir / "logs"
    logs.mkdir()
    (logs / "sitecustomize.py").write_text(_TAP)  # what Ansible's modules tell the system's log
    monkeypatch.setenv("PYTHONPATH", str(logs))
    monkeypatch.setenv("XTRABACKUP_TEST_SYSLOG", str(logs / "syslog"))
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(logs / "ansible.log"))
    estate = Estate(
        workdir,
        flavor=flavor,
        passwords={
            "xtrabackup_backup_password": known["backup password"],
            "xtrabackup_replication_password": known["replication password"],
        },
    )
    if flavor == "mariadb":
        # it writes CREATE USER into its binary log as it was said, password and all; that was this test
        estate.primary.execute("RESET MASTER")
    try:
        with Watch(workdir) as watch:
            results = _play_everything(estate, known)
            all_secrets = {name: secret.encode() for name, secret in known.items()}
            all_secrets["private key"] = b"-----BEGIN PRIVATE KEY-----"
            answer = watch.ask(all_secrets)
        # the watch has seen what is to be seen, the holders too
        assert answer["sweeps"] > 100
        server = {"mariadb": "mariadbd", "mysql": "mysqld"}[flavor]
        assert {"ansible-playbook", server} <= set(answer["names"])
        assert {one.secret for one in answer["findings"]} >= set(HOLDERS) - {"private key"}
        assert leaks(answer["findings"], flavor) == []

        for number, result in enumerate(results):
            (logs / f"output-{number}").write_text(result.output)
        assert "NOT_LOGGING_PARAMETER" in (logs / "syslog").read_text()
        assert (logs / "ansible.log").stat().st_size > 100_000
        run_module(
            "xbstream",
            {
                "state": "extracted",
                "src": str(workdir / "backups/replica.xbstream"),
                "dest": str(workdir / "unpacked"),
                "decrypt": {"key_file": str(workdir / "key")},
            },
        )
        left = search(workdir, all_secrets)
        assert {"key", "variables.yml"} < {Path(one.where).name for one in left}
        assert leaks(left, flavor) == []
        # nobody else sees what the servers keep, and no backup that is not encrypted has it on MariaDB
        private = [workdir / "unpacked", *(server.datadir for server in estate.servers.values())]
        assert [path for path in private if path.stat().st_mode & 0o007] == []
        found = [one.where for one in left if one.secret != "private key"]
        holders = {path for path in private for where in found if str(path) in where}
        # what is recovered forgets the channels of the server that it is from
        assert holders == {"mariadb": {private[2]}, "mysql": {private[0], private[2]}}[flavor]
    finally:
        estate.close()


def _play_everything(estate: Estate, known: dict[str, str]) -> list[PlayResult]:
    """A login that fails, a provisioning, an encrypted backup of the replica, and its restore; all with -vvv."""
    replica, target = estate.host("replica"), estate.host("target")
    (key := estate.directory / "key").touch(mode=0o600)
    key.write_text(known["encryption key"])
    archive = {"xtrabackup_backup_directory": str(estate.directory / "backups"), "xtrabackup_backup_name": "replica"}
    results = [
        failed(estate.play("-vvv", "--limit=replica", xtrabackup_backup_password=known["wrong password"]), "login"),
        # the play makes a token by itself, which would not be known here
        succeeded(estate.play("-vvv", "--limit=primary,replica", __xtrabackup_token=known["token"])),
        succeeded(
            estate.play(
                "-vvv", "--diff", playbook="backup.yml", xtrabackup_hosts="replica", **archive,
                xtrabackup_backup_format="xbstream", xtrabackup_encrypt={"key_file": str(key)},
            )
        ),
        succeeded(
            estate.play(
                "-vvv", "--diff", playbook="restore.yml", xtrabackup_hosts="target",
                xtrabackup_restore_src=str(estate.directory / "backups/replica.xbstream"),
                xtrabackup_restore_prepared_dir=str(estate.directory / "prepared"),
                xtrabackup_restore_decrypt={"key_file": str(key)}, xtrabackup_restore_method="move",
            )
        ),
    ]  # fmt: skip
    assert_tables_equal(replica, target)
    return results


@pytest.mark.parametrize("flavor", ["mariadb", "mysql"])
def test_the_log_of_a_failed_backup_tells_what_was_done_and_no_secret(
    workdir: Path, make_server: ServerFactory, make_mysql: MySQLFactory, flavor: str
) -> None:
    source = make_server("source") if flavor == "mariadb" else make_mysql("source")
    known = {name: canary() for name in ("backup password", "encryption key", "token")}
    source.execute(
        f"CREATE USER taker@localhost IDENTIFIED BY '{known['backup password']}'", "GRANT ALL ON *.* TO taker@localhost"
    )
    (key := workdir / "key").touch(mode=0o600)
    key.write_text(known["encryption key"])
    (logs := workdir / "logs").mkdir()
    failed_job = run_module(
        "xtrabackup_backup",
        {
            **source.login("taker", known["backup password"]),
            "stream_to": {"command": [["sh", "-c", "cat >/dev/null; exit 3", known["token"]]]},
            "encrypt": {"key_file": str(key)},
            "progress_file": str(logs / "job.json"),
        },
        fails=True,
    )
    assert failed_job["error"]["code"] == "command_failed"
    assert [path.name for path in logs.iterdir()] == ["job.json.log"]
    text = (logs / "job.json.log").read_text(encoding="utf-8")
    lock = "BACKUP STAGE BLOCK_COMMIT granted after" if flavor == "mariadb" else "lock instance granted after"
    for said in (" session ", lock, "following the redo log", "copying InnoDB files", "sh started as process"):
        assert said in text
    assert text.splitlines()[-1].endswith(f"the job failed: CommandFailed: {failed_job['error']['message']}")
    secrets_of_it = {name: secret.encode() for name, secret in known.items()}
    assert search(logs, secrets_of_it) == set()
    assert {one.where for one in search(workdir, {"key": known["encryption key"].encode()})} == {str(key)}
