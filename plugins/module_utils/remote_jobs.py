# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on a managed host: a module that goes on in a process of its own, whatever becomes of the play.

Each job has a directory below ``/run/xtrabackup/jobs`` (of users other than root, ``/run/user/UID/xtrabackup/jobs``),
with the mode 0700 and these files:

* ``lock``: locked as long as the job lives;
* ``run``: the identifier of its process, and a line for each task that has started or found it;
* ``code``: the digest of the code that it runs;
* ``status``: its progress (see ``engine/progress.py``), and ``status.log``, its log;
* ``result``: what the module has answered, as JSON; there when the job is over;
* ``answered``: a line for each task that has it.

Arguments are in none of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from .engine.errors import InvalidOption, JobGone, JobOtherVersion, TargetUnsafe, XtrabackupError
from .module_support import STATUS_VARIABLE

OLDEST_SECONDS = 7 * 86400
"""What ended longer ago than this is removed when another job starts."""

_LOOK_SECONDS = 0.03
_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]*")


def jobs_root(run_dir: str) -> Path:
    """The directory of this user's jobs, in ``run_dir`` if that is given."""
    user = os.geteuid()
    return Path(run_dir or ("/run/xtrabackup" if user == 0 else f"/run/user/{user}/xtrabackup"), "jobs")


@dataclass(frozen=True)
class Job:
    """A job's directory."""

    directory: Path

    @classmethod
    def named(cls, name: str, run_dir: str) -> Job:
        """The job ``name`` of this user (see ``jobs_root``). Raises InvalidOption."""
        if not _NAME.fullmatch(name):
            raise InvalidOption(f"{name!r} is no name of a job", remedy="Use the name that the task has told.")
        return cls(jobs_root(run_dir) / name)

    @property
    def status_file(self) -> Path:
        """Return the path of its progress file."""
        return self.directory / "status"

    @property
    def result_file(self) -> Path:
        """Return the path of its answer, which is there once it is over."""
        return self.directory / "result"

    @contextlib.contextmanager
    def locked(self) -> Iterator[int | None]:
        """The descriptor of its lock for the block; None while the job lives. Raises FileNotFoundError."""
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor
        finally:
            os.close(descriptor)

    @property
    def lives(self) -> bool:
        """Return True as long as it goes on."""
        try:
            with self.locked() as lock:
                return lock is None
        except FileNotFoundError:
            return False

    def run(self) -> tuple[int, list[str]]:
        """The identifier of its process, and the names of the tasks that follow it; ``(0, [])`` before it runs."""
        try:
            pid, *tasks = (self.directory / "run").read_text(encoding="ascii").split()
            return int(pid), tasks
        except (OSError, ValueError):
            return 0, []

    def found_by(self, task: str, code: str) -> None:
        """Note that ``task`` follows it, too. Raises JobOtherVersion when it does not run the ``code``, OSError."""
        # another task may be about to start it
        while not self.run()[1] and self.lives:
            time.sleep(_LOOK_SECONDS)
        if self.code() != code:
            raise JobOtherVersion(
                f"the job {self.directory.name} (process {self.run()[0]}, {self.phase()}) was started by another "
                "version of this collection, and goes on",
                job=self.directory.name,
            )
        with open(self.directory / "run", "a", encoding="ascii") as file:
            file.write(f"{task}\n")

    def code(self) -> str:
        """Return the digest of the code that it runs; "" before it runs."""
        try:
            return (self.directory / "code").read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def answer(self) -> dict[str, Any] | None:
        """Return what its module has printed, once it is over; None where that is not there."""
        try:
            return dict(json.loads(self.result_file.read_bytes().strip().splitlines()[-1]))
        except FileNotFoundError:
            return None

    def answered_to(self, task: str) -> set[str]:
        """Note that ``task`` has the answer; returns all tasks that have it. Raises OSError."""
        with open(self.directory / "answered", "a+", encoding="ascii") as file:
            file.write(f"{task}\n")
            file.seek(0)
            return set(file.read().split())

    def succeeded(self) -> bool:
        """Return True if it is over without an error, and its answer is there."""
        answer = self.answer()
        return answer is not None and not answer.get("failed")

    def status(self) -> dict[str, Any]:
        """Its progress, empty before its first phase."""
        try:
            return dict(json.loads(self.status_file.read_bytes()))
        except (OSError, ValueError):
            return {}

    def phase(self) -> str:
        """The phase that it is in."""
        return str(self.status().get("phase", "starting"))


def make_root(root: Path) -> None:
    """Make ``root`` where it is missing. Raises TargetUnsafe when others could change what is in it, OSError."""
    user = os.geteuid()
    for path in (root.parent, root):
        path.mkdir(mode=0o755, exist_ok=True)
        state = path.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != user or state.st_mode & 0o022:
            raise TargetUnsafe(
                f"{path} is no directory that only this user can change: no job can be started there",
                remedy=f"See who has made {path}, and remove it.",
            )


def start(job: Job, task: str, code: str, call: Callable[[], None], limit: float) -> bool:
    """Start ``call``, the main function of a module, as ``job`` of ``task``; False when the job runs already.

    ``code`` is the digest of the code that it runs.

    It is stopped as by SIGTERM after ``limit`` seconds. In the new process this ends with SystemExit when the work is
    done. Raises OSError.
    """
    job.directory.mkdir(mode=0o700, exist_ok=True)
    with job.locked() as lock:
        if lock is None:
            return False
        for name in os.listdir(job.directory):
            if name != "lock":
                (job.directory / name).unlink()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _write(job.directory / "code", code.encode("ascii"))
            _write(job.directory / "run", f"{os.getpid()}\n{task}\n".encode("ascii"))
            os.close(writer)
            _work(job, call, limit)
            raise SystemExit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with open(reader, "rb") as started:
            started.read()  # until the job has written who it is
    return True


def _work(job: Job, call: Callable[[], None], limit: float) -> None:
    """Do the work with the streams of the job; what it prints becomes the result."""
    output, errors = job.directory / "output", job.directory / "errors"
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for path, flags, number in ((Path(os.devnull), os.O_RDONLY, 0), (output, new, 1), (errors, new, 2)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ[STATUS_VARIABLE] = str(job.status_file)
    timer = threading.Timer(limit, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    failed = ""
    try:
        call()
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001 - the play sees it nowhere else
        failed = traceback.format_exc()
    timer.cancel()
    sys.stdout.flush()
    sys.stderr.flush()
    printed = output.read_bytes()
    if failed or not printed.strip():
        said = failed or errors.read_text(encoding="utf-8", errors="replace")
        answer = {"failed": True, "msg": "The job ended without a result", "exception": said[-20000:]}
        printed = json.dumps(answer).encode()
    _write(job.result_file, printed)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    os.replace(temporary, path)


def wait(job: Job, seconds: float, *, first_phase: bool = False) -> bool:
    """Wait at most ``seconds`` for the job's end, with ``first_phase`` for its first phase at most; True at its end."""
    deadline = time.monotonic() + seconds
    while job.lives:
        if time.monotonic() > deadline or (first_phase and job.phase() != "starting"):
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def answer_of(job: Job, task: str) -> dict[str, Any]:
    """The answer of a job that is over. Raises JobGone when there is none, or when the job died.

    With ``task``, it must be a job that this task follows. It is forgotten when all tasks have asked that have started
    or found it; what a play that was killed has not asked for is removed with old jobs. That of a job that failed
    stays, as its log does.
    """
    pid, tasks = job.run()
    if not tasks:
        raise JobGone(f"there is no job {job.directory.name} on this host, or not any more")
    if task and task not in tasks:
        raise JobGone(f"another task has started the job {job.directory.name} again")
    answer = job.answer()
    if answer is None:
        raise JobGone(
            f"the job {job.directory.name} (process {pid}) died, or its host was restarted",
            remedy=f"Run the task again. If the job was killed, its log is {job.status_file}.log.",
        )
    if not answer.get("failed") and job.answered_to(task) >= set(tasks):
        shutil.rmtree(job.directory, ignore_errors=True)
    return answer


def stop(job: Job, seconds: float = 60) -> bool:
    """End a job as by SIGTERM, and wait for its end; False when it did not run. Raises JobGone when it does not end."""
    if not job.lives:
        return False
    pid = job.run()[0]
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if not wait(job, seconds):
        raise JobGone(
            f"process {pid} of the job {job.directory.name} has not ended after {seconds:g} s",
            remedy=f"Look into {job.status_file}.log, then run the task again, or end the process.",
        )
    return True


def remove_old(root: Path) -> None:
    """Remove the directories of jobs that ended long ago."""
    for directory in root.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - directory.stat().st_mtime > OLDEST_SECONDS and not Job(directory).lives:
                shutil.rmtree(directory, ignore_errors=True)


def serve(request: dict[str, Any], main: Callable[[], None]) -> None:
    """Start ``main`` as the job that ``request`` describes, or find it, and print what came of it.

    ``request``: ``name`` of the job, ``run_dir`` (may be empty), ``task``, ``code``: the digest of the code, ``limit``
    in seconds, ``wait``: how many seconds to wait for its end, and ``first_phase``: whether its first phase is waited
    for at most. A job that ended meanwhile prints its own answer.
    """
    try:
        job = Job.named(request["name"], request["run_dir"])
        make_root(job.directory.parent)
        remove_old(job.directory.parent)
        task, code = request["task"], request["code"]
        began = start(job, task, code, main, request["limit"])
        if not began:
            job.found_by(task, code)
        if began and wait(job, request["wait"], first_phase=request["first_phase"]):
            answer = answer_of(job, task)
        else:
            known = {
                "id": request["name"],
                "task": task,
                "pid": job.run()[0],
                "directory": str(job.directory),
                "began": began,
                "announced": job.status().get("announced", {}),
            }
            answer = {"changed": False, "job": known}
    except XtrabackupError as error:
        answer = {"failed": True, "msg": f"{error.message}. {error.remedy}", "error": error.as_dict()}
    sys.stdout.write(json.dumps(answer) + "\n")
