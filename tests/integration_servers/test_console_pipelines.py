# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipelines of Percona's streaming page with the stock tools in our place at either end, and with members that die.

In these scripts xtrabackup and xbstream are ours, mariadb-backup and mbstream the stock tools.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest
from ansible_collections.innodb.xtrabackup.tests.integration_servers.conftest import MySQLFactory, ServerFactory
from ansible_collections.innodb.xtrabackup.tests.support import load, mysql
from ansible_collections.innodb.xtrabackup.tests.support.checksums import assert_tables_equal
from ansible_collections.innodb.xtrabackup.tests.support.pipelines import Pipelines
from ansible_collections.innodb.xtrabackup.tests.support.servers import DatabaseServer, MariaDBServer
from ansible_collections.innodb.xtrabackup.tests.support.streams import fingerprints

STOCK = "mariadb-backup --backup --stream=mbstream --target-dir=/srv/scratch"
OURS = "xtrabackup --backup --stream=xbstream ./"


@pytest.fixture(name="source")
def _source(make_server: ServerFactory) -> MariaDBServer:
    return make_server("source")


@pytest.fixture(name="pipes")
def _pipes(source: MariaDBServer, workdir: Path) -> Iterator[Pipelines]:
    pipes = Pipelines(workdir / "world", source)
    try:
        yield pipes
    finally:
        pipes.close()


def revive(backup: Path, target: DatabaseServer) -> None:
    """Start a server on a prepared backup."""
    os.rename(backup, target.datadir)
    target.start()


def require_sound(backup: Path) -> None:
    """All files are what our manifest says."""
    manifest.verify_directory(backup, manifest.read(backup), digests=True)


@pytest.mark.slow
def test_the_stock_tools_and_ours_take_each_others_place_in_the_pipelines_of_the_streaming_page(
    pipes: Pipelines, source: MariaDBServer, make_server: ServerFactory
) -> None:
    srv = pipes.srv
    with load.WriteLoad(source, per_second=50) as writing:
        writing.wait_for(20)
        # to another host and unpacked there
        pipes.do(f'mkdir a; {STOCK} | ssh otherhost "/srv/bin/xbstream -x -C /srv/a"')
        pipes.do(
            "mkdir b; xtrabackup --backup --compress --stream=xbstream --target-dir=./ "
            '| ssh otherhost "mbstream -x -C /srv/b"'
        )
        # through gzip and openssl, and back
        lock, unlock = "openssl des3 -salt -pbkdf2 -k password", "openssl des3 -d -salt -pbkdf2 -k password"
        pipes.do(f"mkdir c d; {OURS} | gzip -1 - | {lock} > c.gz.des3")
        pipes.do(f"{unlock} < c.gz.des3 | gzip -d | mbstream -x -p 2 -C c")
        pipes.do(f"{STOCK} | gzip -1 - | {lock} > d.gz.des3")
        pipes.do(f"{unlock} < d.gz.des3 | gzip -d | xbstream -x -p 2 -C d")
        pipes.do(f"mkdir d2; {unlock} < d.gz.des3 | gzip -d | mbstream -x -C d2")
        # through nc, with sums at both ends
        for name, send, unpack in (("e", STOCK, "xbstream"), ("f", OURS, "mbstream")):
            receive = f"mkdir {name}; nc -l 9999 | tee >(sha1sum > {name}.there) | {unpack} -x -C {name}"
            with pipes.listening(receive):
                pipes.do(f"{send} | tee >(sha1sum > {name}.here) | nc desthost 9999")
            assert (srv / f"{name}.here").read_text() == (srv / f"{name}.there").read_text() != ""
        # throttled, in parallel, encrypted
        (srv / "key").write_bytes(os.urandom(32))
        (srv / "key").chmod(0o600)
        pipes.do(
            "xtrabackup --backup --compress=lz4 --compress-threads=8 --parallel=4 --stream=xbstream --encrypt=AES256 "
            '--encrypt-key-file=key | pv -q -L20m | ssh desthost "cat - > /srv/g.xbstream"'
        )
        pipes.do("mkdir g; mbstream -x -C g < g.xbstream")
        writing.stop()
    assert fingerprints(srv / "d") == fingerprints(srv / "d2")
    for name in "cf":
        require_sound(srv / name)
    pipes.do("mkdir g2; xbstream -x -p 4 --decompress --decrypt=AES256 --encrypt-key-file=key -C g2 < g.xbstream")
    require_sound(srv / "g2")
    # prepared by the one that has had no hand in it so far, or by ours what ours has unpacked from the stock tool
    pipes.do("xtrabackup --decompress --remove-original --target-dir=b; mariadb-backup --prepare --target-dir=b")
    pipes.do("xtrabackup --decrypt=AES256 --encrypt-key-file=key --decompress --remove-original --target-dir=g")
    for name in "adeg":
        assert pipes.do(f"xtrabackup --prepare --target-dir={name}").said.strip().endswith("completed OK!")
    for name in "cf":
        pipes.do(f"mariadb-backup --prepare --target-dir={name}")
    for name in "abg":
        target = make_server(name, start=False)
        revive(srv / name, target)
        load.check_invariants(target)
        target.stop()


def test_a_pipeline_of_which_a_member_dies_fails_in_seconds_and_unpacks_nothing(
    pipes: Pipelines, source: MariaDBServer
) -> None:
    srv = pipes.srv
    (srv / "into").mkdir()
    began = time.monotonic()
    cut = pipes.run(f"{OURS} --parallel=4 | head -c 3000000 | xbstream -x -C into")
    assert (cut.status, cut.members) == (1, [1, 0, 1])
    deaf = pipes.run(f'{OURS} | ssh otherhost "/srv/bin/xbstream -x -C /srv/absent"')
    assert deaf.status == 1
    assert deaf.members[1] == 1
    assert "/srv/absent is not a directory" in deaf.said
    refused = pipes.run(f"{OURS} --user=nobody --password=wrong | xbstream -x -C into")
    assert refused.members == [1, 1]
    assert "an empty stream" in refused.said
    killed = pipes.run(
        "bash -c 'echo $$ > pid; exec \"$@\"' - xtrabackup --backup --stream=xbstream "
        "| (head -c 1000000; kill -KILL $(cat pid); cat) | xbstream -x -C into"
    )
    assert killed.members == [137, 0, 1]
    # a stock sender that is cut short is noticed by ours, whatever its own status
    stock = pipes.run(f"{STOCK} 2>/dev/null | head -c 3000000 | xbstream -x -C into")
    assert stock.members[2] == 1
    assert time.monotonic() - began < 5 * 60
    assert list((srv / "into").iterdir()) == []
    for done in (cut, deaf, refused, killed):
        assert "completed OK!" not in done.said
    # and the server is as it was: no lock is left
    source.execute("CREATE TABLE mysql.after_it (id INT)")


def test_a_mysql_server_streams_through_the_pipelines_of_the_page(workdir: Path, make_mysql: MySQLFactory) -> None:
    source, target = make_mysql("source"), make_mysql("target", start=False)
    source.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, text VARCHAR(100))")
    source.execute(f"INSERT INTO shop.t SELECT seq, REPEAT('x', 90) FROM {source.numbers(5000)}")
    pipes = Pipelines(workdir / "world", source, f"{mysql.ROOT}/usr/sbin:{mysql.ROOT}/usr/bin")
    try:
        pipes.do("xtrabackup --backup --stream=xbstream --target-dir=./ > backup.xbstream")
        pipes.do("mkdir stock ours; mbstream -x -C stock < backup.xbstream; xbstream -x -C ours < backup.xbstream")
        require_sound(pipes.srv / "stock")
        require_sound(pipes.srv / "ours")
        pipes.do(
            "mkdir there; xtrabackup --backup --compress --compress-threads=8 --parallel=4 --stream=xbstream ./ "
            '| tee >(sha1sum > here) | pv -q -L50m | ssh desthost "tee /srv/backup.xbstream | sha1sum > /srv/there/sum"'
        )
        assert (pipes.srv / "here").read_text() == (pipes.srv / "there/sum").read_text()
        pipes.do("mkdir back; xbstream -x -p 4 --decompress -C back < backup.xbstream")
        assert pipes.do("xtrabackup --prepare --target-dir=back").said.strip().endswith("completed OK!")
    finally:
        pipes.close()
    revive(pipes.srv / "back", target)
    assert_tables_equal(source, target)
