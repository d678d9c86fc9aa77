# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup into a pipeline of commands, without a shell: ``[["pv", "-q"], ["ssh", "vault", "cat > backup.xbstream"]]``.

Nothing is complete before every member of the pipeline has ended with status 0.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from ..errors import CommandFailed, InvalidOption, MissingProgram, Option, PeerTimeout, StreamError
from ..host.durable import storage_errors
from ..stream.archive import IOV_MAX, Channel, StreamSink, drop_written
from ..stream.codec import Compression
from ..stream.sink import Buffer

_log = logging.getLogger(__name__)

_PIPE_SIZE = 1 << 20  # bytes
_STDERR_KEPT = 8 << 10  # bytes of each member's messages, the last ones
_POLL = 0.5  # seconds between looks at the members while the pipe is full
_GRACE = 5.0  # seconds for members to end by themselves after one failed, and again after SIGTERM


class _Member:
    """One running command, its messages drained into a bounded ring."""

    def __init__(self, argv: Sequence[str], stdin: IO[bytes] | int, *, last: bool) -> None:
        self.argv = list(argv)
        try:
            self.process = subprocess.Popen(
                self.argv,
                stdin=stdin,
                stdout=subprocess.DEVNULL if last else subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except FileNotFoundError as error:
            raise MissingProgram(f"{self.argv[0]}: no such program", program=self.argv[0]) from error
        except OSError as error:
            raise CommandFailed(f"{self.argv[0]}: cannot be started: {error.strerror}", argv=self.argv) from error
        # what follows the program's name can hold secrets
        _log.info("%s started as process %d", self.argv[0], self.process.pid)
        self._messages: deque[bytes] = deque()
        self._kept = 0
        self._drain = threading.Thread(
            target=self._read_messages,
            args=(self.process.stderr,),
            name=f"stderr of {self.argv[0]}",
            daemon=True,
        )
        self._drain.start()

    def _read_messages(self, stderr: IO[bytes]) -> None:
        while data := stderr.read(4096):
            self._messages.append(data)
            self._kept += len(data)
            while self._kept - len(self._messages[0]) >= _STDERR_KEPT:
                self._kept -= len(self._messages.popleft())
        stderr.close()

    def messages(self) -> str:
        """The last of what the command wrote to its standard error."""
        # a grandchild may hold the pipe open for ever
        self._drain.join(1.0)
        return b"".join(self._messages)[-_STDERR_KEPT:].decode("utf-8", "replace").strip()

    def failure(self) -> str | None:
        """In words, how the command failed; None when it runs or has ended well."""
        status = self.process.poll()
        if not status:
            return None
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"{self.argv[0]} was ended by {signal.Signals(-status).name}"
        return f"{self.argv[0]} ended with status {status}"


class Pipeline(Channel):
    """Running commands, each one's output the next one's input; a channel into the first.

    ``stall_timeout`` is how long, in seconds, the pipeline may take no byte at all. Raises InvalidOption,
    MissingProgram, CommandFailed; nothing is left running then.
    """

    def __init__(self, commands: Sequence[Sequence[str]], *, stall_timeout: float) -> None:
        if not commands or not all(argv and all(isinstance(word, str) for word in argv) for argv in commands):
            raise InvalidOption(
                f"{Option('stream_to.command')}: a list of commands is needed, each a list of words", option="stream_to"
            )
        self._stall_timeout = stall_timeout
        self._members: list[_Member] = []
        self._writing = threading.Lock()
        read_end, self._descriptor = os.pipe2(os.O_CLOEXEC)
        try:
            stdin: IO[bytes] | int = os.fdopen(read_end, "rb", buffering=0)
            for number, argv in enumerate(commands, 1):
                member = None
                try:
                    member = _Member(argv, stdin, last=number == len(commands))
                finally:
                    # the pipe between two members must be theirs alone, or a broken one goes unnoticed
                    stdin.close()  # type: ignore[union-attr]
                self._members.append(member)
                if member.process.stdout is not None:
                    stdin = member.process.stdout
        except BaseException:
            self.kill()
            raise
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._descriptor, getattr(fcntl, "F_SETPIPE_SZ", 1031), _PIPE_SIZE)
        os.set_blocking(self._descriptor, False)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, buffers: Sequence[Buffer]) -> None:
        views = [memoryview(buffer) for buffer in buffers if len(buffer)]
        with self._writing:
            while views:
                drop_written(views, self._write_some(views))

    def _write_some(self, views: list[memoryview]) -> int:
        deadline = time.monotonic() + self._stall_timeout
        while True:
            if self._descriptor < 0:
                raise StreamError("the pipeline was closed")
            try:
                return os.writev(self._descriptor, views[:IOV_MAX])
            except BlockingIOError:
                if not self._poll.poll(_POLL * 1000):
                    self._require_progress(deadline)
            except OSError as error:
                if error.errno != errno.EPIPE:
                    with storage_errors("writing to", self._members[0].argv[0]):
                        raise
                raise self._broken() from error

    def _require_progress(self, deadline: float) -> None:
        if any(member.failure() for member in self._members):
            raise self._broken()
        if time.monotonic() > deadline:
            names = " | ".join(member.argv[0] for member in self._members)
            raise PeerTimeout(f"{names}: took no data for {self._stall_timeout:.0f} seconds")

    def _broken(self) -> CommandFailed:
        """The error of a pipeline that has stopped taking data."""
        self._wait(time.monotonic() + _GRACE, stop_on_failure=False)
        return self._error() or CommandFailed(
            f"{self._members[0].argv[0]} stopped reading before the end of the backup",
            commands=[member.argv[0] for member in self._members],
        )

    def _error(self) -> CommandFailed | None:
        failures = [(member, text) for member in self._members if (text := member.failure())]
        if not failures:
            return None
        # a member whose reader is gone dies of SIGPIPE: the last one that failed otherwise is the cause
        causes = [item for item in failures if item[0].process.returncode != -signal.SIGPIPE] or failures
        said = causes[-1][0].messages()
        return CommandFailed(
            "; ".join(text for _member, text in failures) + (f": {said}" if said else ""),
            remedy="Look at the message of the command; the backup at its end is incomplete.",
            commands=[
                {"program": member.argv[0], "status": member.process.returncode, "stderr": member.messages()}
                for member in self._members
            ],
        )

    def _wait(self, deadline: float | None, *, stop_on_failure: bool) -> bool:
        """Wait for all members; returns whether all have ended (before ``deadline``, or before a first failure)."""
        while True:
            running = [member for member in self._members if member.process.poll() is None]
            if not running:
                return True
            if stop_on_failure and any(member.failure() for member in self._members):
                return False
            if deadline is not None and time.monotonic() > deadline:
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                running[0].process.wait(0.05)

    def _close_pipe(self) -> None:
        # never under the feet of a writer: the number might be another file's by the time it writes
        with self._writing:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def finish(self) -> None:
        """All is written: close the pipe and wait until every member has ended well; raises CommandFailed."""
        self._close_pipe()
        # no deadline while all is well: the last member may have much to store, and only it knows
        if not self._wait(None, stop_on_failure=True):
            self._wait(time.monotonic() + _GRACE, stop_on_failure=False)
        error = self._error()
        _log.info("the pipeline has ended: %s", error or "well")
        self.kill()
        if error:
            raise error

    def kill(self) -> None:
        """End what still runs, and reap it."""
        for send in (subprocess.Popen.terminate, subprocess.Popen.kill):
            for member in self._members:
                if member.process.poll() is None:
                    _log.info("ending process %d, %s", member.process.pid, member.argv[0])
                    with contextlib.suppress(ProcessLookupError):
                        send(member.process)
            if self._wait(time.monotonic() + _GRACE, stop_on_failure=False):
                break
        # only now: a member that sees the end of its input before a signal may take it for the end of the backup
        self._close_pipe()


class CommandSink(StreamSink):
    """A backup as a stream into the standard input of the first of ``commands`` (argument lists; no shell).

    ``digests`` are those of the bytes that the first command is given.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        compress: Compression | None = None,
        encrypt_key: bytes | None = None,
        digests: Sequence[str] = (),
        sparse: bool = False,
        stall_timeout: float = 900.0,
    ) -> None:
        self._pipeline = Pipeline(commands, stall_timeout=stall_timeout)
        try:
            super().__init__(
                [self._pipeline], compress=compress, encrypt_key=encrypt_key, digests=digests, sparse=sparse
            )
        except BaseException:
            self._pipeline.kill()
            raise

    def _finish(self) -> dict[str, Any]:
        self._pipeline.finish()
        return {"path": None}

    def _abort(self, reason: BaseException) -> None:
        self._pipeline.kill()
