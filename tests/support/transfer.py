# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of a TLS transfer on this machine, for tests.

Run as a program (``python -m ...tests.support.transfer send|receive ...``) it is one end in a process of its own,
to be killed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.progress import Progress
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import Checksum
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    DirectoryIntake,
    Intake,
    Received,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.session_credentials import (
    StoredCredentials,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_receiver import (
    ListenOptions,
    receive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.tls_sender import TlsSink, TlsTarget

from .ports import free_port

TOKEN = "0123456789abcdef0123456789abcdef"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Ends:
    """Matching credentials of two ends, a port, and a place for what arrives."""

    directory: Path
    port: int

    @property
    def sender(self) -> Path:
        return self.directory / "sender.json"

    @property
    def receiver(self) -> Path:
        return self.directory / "receiver.json"

    @property
    def dest(self) -> Path:
        return self.directory / "arrived"

    def target(self, **options: object) -> TlsTarget:
        """How the sender reaches the receiver."""
        defaults: dict[str, object] = {"timeout": 10.0, "connect_timeout": 10.0}
        own = StoredCredentials(self.sender)
        return TlsTarget("127.0.0.1", self.port, **{"credentials": own, **defaults, **options})  # type: ignore[arg-type]

    def listen(self, **options: object) -> ListenOptions:
        """How the receiver listens."""
        defaults: dict[str, object] = {"address": "127.0.0.1", "timeout": 10.0, "accept_timeout": 20.0}
        own = StoredCredentials(self.receiver)
        return ListenOptions(self.port, **{"credentials": own, **defaults, **options})  # type: ignore[arg-type]

    def leftovers(self) -> list[str]:
        """What the receiver left behind beside the credentials."""
        ours = {self.sender.name, self.receiver.name, "progress.json", "go"}
        return sorted(item.name for item in self.directory.iterdir() if item.name not in ours)


def make_ends(directory: Path, token: str = TOKEN) -> Ends:
    """New credentials for two ends that know each other."""
    ends = Ends(directory, free_port())
    sender, receiver = credentials.create("sender"), credentials.create("receiver")
    credentials.save(ends.sender, replace(sender, peer_certificate=receiver.certificate, token=token))
    credentials.save(ends.receiver, replace(receiver, peer_certificate=sender.certificate, token=token))
    return ends


class Receiver:
    """``receive`` in a thread."""

    def __init__(
        self,
        ends: Ends,
        intake: Intake | None = None,
        *,
        digests: Sequence[str] = (),
        checksum: Checksum | None = None,
        **options: object,
    ) -> None:
        self.progress_file = ends.directory / "progress.json"
        self.progress_file.unlink(missing_ok=True)
        self.manifest: Manifest | None = None
        self.received: Received | None = None
        self.error: BaseException | None = None
        self.ended_at = 0.0
        progress = Progress("receive", self.progress_file)

        def run() -> None:
            try:
                self.received = receive(
                    ends.listen(**options),
                    intake or DirectoryIntake(ends.dest),
                    digests=digests,
                    checksum=checksum,
                    progress=progress,
                )
                self.manifest = self.received.manifest
            except BaseException as error:
                self.error = error
            self.ended_at = time.monotonic()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        wait_for_phase(self.progress_file, "listening", self._thread.is_alive)

    def join(self, seconds: float = 20.0) -> None:
        """Wait for the end of the transfer."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the receiver has not ended within {seconds} s"

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()


def wait_for_phase(progress_file: Path, phase: str, alive: object = None) -> None:
    """Wait until the status file says ``phase``, or nobody is left to write it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(progress_file.read_text())["phase"] == phase:
                return
        if callable(alive) and not alive():
            return
        time.sleep(0.01)
    raise AssertionError(f"{progress_file} has not reached {phase}")


def send(sink: TlsSink, files: Mapping[str, bytes]) -> Manifest:
    """Write ``files`` with one thread each; returns the manifest of them."""
    entries, errors = [], []

    def write(path: str, data: bytes) -> None:
        try:
            with sink.open(path) as file:
                view = memoryview(data)
                while view:
                    file.write(view[:BLOCK])
                    view = view[BLOCK:]
                entries.append(file.close())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=item) for item in files.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return Manifest({"id": "a-backup"}, tuple(entries))


def blocks(seed: int) -> Iterator[bytes]:
    """Endless different data."""
    pattern = random.Random(seed).randbytes(BLOCK)
    for number in itertools.count():
        yield number.to_bytes(8, "little") + pattern[8:]


def main(command: str, directory: str, port: str, count: str) -> None:
    """One end as a process: send ``count`` blocks in each of two files, or receive. Prints the error's code."""
    ends = Ends(Path(directory), int(port))
    try:
        if command == "receive":
            progress = Progress("receive", ends.directory / "progress.json")
            receive(ends.listen(), DirectoryIntake(ends.dest), progress=progress)
        else:
            sink = TlsSink(ends.target())
            try:
                send_blocks(sink, int(count), ends.directory / "go")
            except BaseException as error:
                sink.abort(error)
                raise
    except Exception as error:
        print(getattr(error, "code", repr(error)), error, flush=True)
        sys.exit(1)
    print("done", flush=True)


def send_blocks(sink: TlsSink, count: int, go: Path) -> None:
    """Two files of ``count`` blocks each; the file ``go`` appears after the first ones."""
    with sink.open("db/one.ibd") as one, sink.open("db/two.ibd") as two:
        for number, block in zip(range(count), blocks(1)):
            one.write(block)
            two.write(block)
            if number == 8:
                go.touch()
        entries = (one.close(), two.close())
    sink.publish(Manifest({"id": "a-backup"}, entries))


if __name__ == "__main__":
    main(*sys.argv[1:])
