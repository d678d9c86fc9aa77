# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of Percona's page "Take a streaming backup", run as they are written but for the program's path.

https://docs.percona.com/percona-xtrabackup/8.0/take-streaming-backup.html; where the page has typographic quotes, or
has lost a pipe sign between two commands, they are what they must have been. Hosts, user and paths are the page's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import verify_archive
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import console, guide, load
from ansible_collections.innodb.xtrabackup.tests.support.servers import MariaDBServer, program

PAGE = {
    "file": "xtrabackup --backup --stream=xbstream --target-dir=./ > backup.xbstream",
    "compressed": "xtrabackup --backup --stream=xbstream --compress --target-dir=./ > backup.xbstream",
    "encrypted": (
        'xtrabackup --backup --stream=xbstream ./ | gzip - | openssl des3 -salt -k "password" > backup.xbstream.gz.des3'
    ),
    "unpack": "xbstream -x < backup.xbstream",
    "ssh": 'xtrabackup --backup --compress --stream=xbstream --target-dir=./ | ssh user@otherhost "xbstream -x"',
    "receive": "nc -l 9999 | cat - > /data/backups/backup.xbstream",
    "send": "xtrabackup --backup --stream=xbstream ./ | nc desthost 9999",
    "one-liner": (
        'ssh user@desthost "( nc -l 9999 > /data/backups/backup.xbstream & )" '
        "&& xtrabackup --backup --stream=xbstream ./ | nc desthost 9999"
    ),
    "throttled": (
        "xtrabackup --backup --stream=xbstream ./ "
        '| pv -q -L10m | ssh user@desthost "cat - > /data/backups/backup.xbstream"'
    ),
    "receive and sum": "nc -l 9999 | tee >(sha1sum > destination_checksum) > /data/backups/backup.xbstream",
    "send and sum": "xtrabackup --backup --stream=xbstream ./ | tee >(sha1sum > source_checksum) | nc desthost 9999",
    "parallel": (
        "xtrabackup --backup --compress --compress-threads=8 --stream=xbstream --parallel=4 --target-dir=./ "
        "> backup.xbstream"
    ),
    "directory": "xtrabackup --backup --compress --target-dir=/data/backup",
    "directory lz4": "xtrabackup --backup --compress=lz4 --target-dir=/data/backup",
    "level": "xtrabackup --backup --compress --compress-zstd-level=1 --target-dir=/data/backup",
}
HOSTS = ("desthost", "otherhost")


class Page:
    """The hosts of the page: the world of the guides with /data, and a user who is called user."""

    def __init__(self, root: Path, server: MariaDBServer) -> None:
        self.root = root
        self.programs = root / "srv" / "bin"
        self.data = root / "data"
        self.home = root / "srv" / "home"
        self._made_data = not Path("/data").exists()
        Path("/data").mkdir(exist_ok=True)
        for directory in (self.data / "backups", self.programs, self.home / ".ssh", root / "tools"):
            directory.mkdir(parents=True, mode=0o700)
        console.build(self.programs)
        # nc as Red Hat has it: it ends with its input, which the commands of the page expect
        (root / "tools" / "nc").symlink_to(program("ncat"))
        accounts = Path("/etc/passwd").read_text(encoding="utf-8")
        (root / "passwd").write_text(f"{accounts}user:x:0:0::/srv/home:/bin/bash\n", encoding="utf-8")
        self.world = guide.World(root, server.socket, HOSTS, [(self.data, "/data"), (root / "passwd", "/etc/passwd")])
        shutil.copy(root / "ssh" / "authorized_keys", self.home / ".ssh" / "authorized_keys")

    def close(self) -> None:
        """End all of it."""
        self.world.close()
        if self._made_data:
            with contextlib.suppress(OSError):
                Path("/data").rmdir()

    def run(self, name: str, directory: str) -> console.Finished:
        """Run a command of the page in /srv/``directory``, by an absolute path of our program."""
        place = self.root / "srv" / directory
        place.mkdir(exist_ok=True)
        script = console.with_paths(PAGE[name], Path("/srv/bin"))
        enter = tuple(self.world.enter())
        return console.shell(script, Path("/srv") / directory, enter=enter, path=str(self.root / "tools"))

    @contextlib.contextmanager
    def receiving(self, name: str, directory: str) -> Iterator[None]:
        """Have a receiver of the page run for the block, and end well with it."""
        place = self.root / "srv" / directory
        place.mkdir(exist_ok=True)
        words = ["bash", "-o", "pipefail", "-c", f"cd /srv/{directory}\n{PAGE[name]}\nwait"]
        receiver = subprocess.Popen(
            self.world.enter(*words), env={**os.environ, "PATH": f"{self.root}/tools:{os.environ['PATH']}"}
        )
        try:
            self._wait_for_listener()
            yield
            assert receiver.wait(60) == 0
        finally:
            receiver.kill()

    def wait_for_the_end_of_receivers(self) -> None:
        """Wait until nothing is connected, or listens, on the page's port any more."""
        over = "while ss -Htan 'sport = :9999' | grep -qv TIME-WAIT; do sleep 0.1; done"
        subprocess.run(self.world.enter("bash", "-c", over), check=True, timeout=60)

    def _wait_for_listener(self) -> None:
        listening = "until ss -Hltn 'sport = :9999' | grep -q .; do sleep 0.1; done"
        subprocess.run(self.world.enter("bash", "-c", listening), check=True, timeout=30)


@pytest.fixture(name="source")
def _source(make_server: ServerFactory) -> MariaDBServer:
    return make_server("source")


@pytest.fixture(name="page")
def _page(source: MariaDBServer, workdir: Path) -> Iterator[Page]:
    page = Page(workdir / "page", source)
    try:
        yield page
    finally:
        page.close()


@pytest.mark.slow
def test_the_commands_of_the_streaming_page_run_as_they_are_written(
    page: Page, source: MariaDBServer, make_server: ServerFactory
) -> None:
    srv, arrived = page.root / "srv", page.data / "backups" / "backup.xbstream"
    with load.WriteLoad(source) as writing:
        writing.wait_for(20)
        for name in ("file", "compressed", "parallel"):
            assert page.run(name, name).completed
            assert verify_archive(source_at(srv / name / "backup.xbstream")) is not None
        assert page.run("encrypted", "encrypted").completed
        decode = 'openssl des3 -d -salt -k "password" -in backup.xbstream.gz.des3 | gzip -dc > plain.xbstream'
        console.require(console.shell(decode, srv / "encrypted"))
        assert verify_archive(source_at(srv / "encrypted" / "plain.xbstream")) is not None
        console.require(page.run("unpack", "file"))
        unpacked = manifest.read(srv / "file")
        manifest.verify_directory(srv / "file", unpacked, digests=True)
        console.require(page.run("unpack", "parallel"))
        console.require(page.run("ssh", "ssh"))
        with page.receiving("receive", "receiver"):
            console.require(page.run("send", "sender"))
        assert verify_archive(source_at(arrived)) is not None
        arrived.unlink()
        with page.receiving("receive and sum", "receiver"):
            console.require(page.run("send and sum", "sender"))
        sums = [(srv / path).read_text() for path in ("sender/source_checksum", "receiver/destination_checksum")]
        assert sums[0] == sums[1]
        assert len(sums[0].split()[0]) == 40
        assert verify_archive(source_at(arrived)) is not None
        arrived.unlink()
        console.require(page.run("throttled", "throttled"))
        assert verify_archive(source_at(arrived)) is not None
        arrived.unlink()
        console.require(page.run("one-liner", "sender"))
        page.wait_for_the_end_of_receivers()
        assert verify_archive(source_at(arrived)) is not None
        for name in ("directory", "directory lz4", "level"):
            assert page.run(name, "packed").completed
            assert any((page.data / "backup").rglob("*.lz4" if name.endswith("lz4") else "*.zst"))
            shutil.rmtree(page.data / "backup")
        writing.stop()
    # what the other host has unpacked from the SSH session, in the user's home directory
    _bring_to_life(page, page.home, make_server("over_ssh", start=False))
    _bring_to_life(page, srv / "parallel", make_server("in_parallel", start=False))


def _bring_to_life(page: Page, backup: Path, target: MariaDBServer) -> None:
    """Decompress, prepare and copy a backup, start a server on it and count."""
    script = f"""
        xtrabackup --decompress --target-dir={backup}
        xtrabackup --prepare --target-dir={backup}
        xtrabackup --defaults-file={target.option_file} --copy-back --target-dir={backup}
    """
    done = console.require(console.shell(console.with_paths(script, page.programs), backup))
    assert done.said.count("completed OK!") == 3
    target.start()
    load.check_invariants(target)
    target.stop()
