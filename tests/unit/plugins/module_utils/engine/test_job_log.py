# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a job: silent unless it is wanted, bounded, its owner's alone, and there when a job has failed."""

from __future__ import annotations

import ast
import logging
import os
import re
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils import engine
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import job_log
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import CommandFailed, StreamError
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.command import Pipeline
from ansible_collections.innodb.xtrabackup.tests.support.canaries import search
from ansible_collections.innodb.xtrabackup.tests.support.children import same_imports

ENGINE = Path(engine.__file__).parent
LOG = logging.getLogger(f"{engine.__name__}.backup.run")
#: modules of the engine that take time, or start something: a job that hangs there must have said so
TALKATIVE = (
    "backup/copier.py", "backup/log_follower.py", "backup/run.py", "backup/torn_pages.py", "backup/workers.py",
    "host/copying.py", "host/staging.py", "progress.py", "recovery/run.py", "restore/place.py",
    "server/applier_pause.py", "server/connection.py", "server/deadline.py", "server/mariadb/locks.py",
    "server/mysql/locks.py", "stream/extract.py", "transport/command.py", "transport/sockets.py",
    "transport/tcp_receiver.py", "transport/tls_session.py",
)  # fmt: skip


def failing(progress_file: Path, *lines: str) -> str:
    """The log of a job that says ``lines`` and fails."""
    with pytest.raises(StreamError), job_log.kept_beside(progress_file):
        for line in lines:
            LOG.info("%s", line)
        raise StreamError("broken")
    return progress_file.with_name(f"{progress_file.name}.log").read_text(encoding="utf-8")


def test_a_job_that_failed_has_left_its_log(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        text = failing(tmp_path / "job.json", "first", "second\nforged \x1b[2J")
    finally:
        os.umask(before)
    lines = text.splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{stamp} INFO backup\.run \[MainThread\] first", lines[0])
    assert lines[1].endswith(r"second\nforged \x1b[2J")
    assert re.fullmatch(rf"{stamp} ERROR job_log \[MainThread\] the job failed: StreamError: broken", lines[2])
    assert (tmp_path / "job.json.log").stat().st_mode & 0o7777 == 0o600


def test_a_job_that_succeeded_leaves_none_and_one_without_progress_file_has_none(tmp_path: Path) -> None:
    with job_log.kept_beside(tmp_path / "job.json"):
        LOG.info("x")
        assert (tmp_path / "job.json.log").read_text(encoding="utf-8").endswith("x\n")
    with job_log.kept_beside(None):
        LOG.info("x")
    assert list(tmp_path.iterdir()) == []
    assert not LOG.isEnabledFor(logging.INFO)


def test_a_log_begins_anew(tmp_path: Path) -> None:
    failing(tmp_path / "job.json", "old")
    assert "old" not in failing(tmp_path / "job.json", "new")


def test_a_phase_is_in_the_log_with_what_came_before(tmp_path: Path) -> None:
    with pytest.raises(StreamError), job_log.kept_beside(tmp_path / "job.json"):
        progress = Progress("backup", tmp_path / "job.json")
        progress.phase("copying", 100)
        progress.advance(7)
        progress.close()
        raise StreamError("broken")
    text = (tmp_path / "job.json.log").read_text(encoding="utf-8")
    assert "progress [MainThread] backup: copying, 100 bytes" in text
    assert "backup: over, in phase copying, 7 bytes of it done" in text


def test_a_log_is_bounded_and_keeps_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MOST_BYTES", 20_000)
    monkeypatch.setattr(job_log, "MOST_LINES", 10)
    text = failing(tmp_path / "job.json", *(f"line {number} {'x' * 3000}" for number in range(100)))
    assert len(text) < 20_000
    assert text.startswith("(what was before was left out)\n")
    assert "line 99 " in text
    assert max(map(len, text.splitlines())) < job_log.LONGEST_LINE + 50


def test_the_bound_is_more_than_the_lines_that_are_kept() -> None:
    assert job_log.MOST_LINES * (job_log.LONGEST_LINE + 50) < job_log.MOST_BYTES


def test_lines_of_many_threads_are_whole(tmp_path: Path) -> None:
    def say(name: str) -> None:
        for number in range(200):
            LOG.debug("%s %d.", name, number)

    with pytest.raises(StreamError), job_log.kept_beside(tmp_path / "job.json"):
        threads = [threading.Thread(target=say, args=(f"thread{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        raise StreamError("x")
    lines = (tmp_path / "job.json.log").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if re.search(r"thread\d \d+\.$", line)]) == 800


def test_a_log_that_cannot_be_written_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_log.kept_beside(tmp_path / "missing" / "job.json"):
        LOG.info("x")

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with job_log.kept_beside(tmp_path / "job.json"):
        monkeypatch.setattr(os, "write", full)
        LOG.info("x")
        LOG.info("y")
        monkeypatch.undo()


def test_a_forked_process_writes_nothing_under_the_number_of_the_log(tmp_path: Path) -> None:
    """The guard of SQL threads closes all that is open, and opens sessions with the server."""
    reader, writer = os.pipe()
    with pytest.raises(StreamError), job_log.kept_beside(tmp_path / "job.json"):
        (handler,) = (one for one in logging.getLogger(engine.__name__).handlers if isinstance(one, job_log.JobLog))
        child = os.fork()
        if child == 0:
            os.dup2(writer, handler._descriptor)
            LOG.info("of the child")
            os._exit(0)
        os.waitpid(child, 0)
        raise StreamError("x")
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read() == b""
    assert "of the child" not in (tmp_path / "job.json.log").read_text(encoding="utf-8")


def test_nobody_hears_the_engine_without_a_log() -> None:
    program = f"import logging, {engine.__name__} as e; logging.getLogger(e.__name__ + '.x').error('loud')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=same_imports(), capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_what_a_users_command_is_given_is_not_logged(tmp_path: Path) -> None:
    secret = secrets.token_hex(16)
    with pytest.raises(CommandFailed), job_log.kept_beside(tmp_path / "job.json"):
        pipeline = Pipeline([["sh", "-c", "exit 3", secret]], stall_timeout=5)
        pipeline.finish()
    text = (tmp_path / "job.json.log").read_text(encoding="utf-8")
    assert "sh started as process" in text
    assert search(tmp_path, {"token": secret.encode()}) == set()


@pytest.mark.parametrize("file", TALKATIVE)
def test_what_takes_time_is_logged_by_the_name_of_its_module(file: str) -> None:
    tree = ast.parse((ENGINE / file).read_text())
    assert any(ast.unparse(node) == "_log = logging.getLogger(__name__)" for node in tree.body)
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log.")
    ]
    assert calls
    # the text is made only when somebody hears it
    assert all(isinstance(call.args[0], ast.Constant) for call in calls)


def test_no_log_line_is_made_of_a_secret() -> None:
    """What is given to a logger has no name of a secret in it."""
    words = re.compile(r"password|secret|token|private_key|\bkey\b|argv\b(?!\[0\])|statement|\bsql\b|environ")
    wrong = []
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                said = " ".join(map(ast.unparse, node.args[1:]))
                if words.search(said):
                    wrong.append(f"{path.name}:{node.lineno} {said}")
    assert wrong == []
