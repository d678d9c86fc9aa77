# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on real servers.

What is needed is there or the test fails: a missing program is an error of the installation (`make setup`), and a
test that did not run proves nothing. Tests of this directory therefore cannot be skipped, and a session that has
collected some and run none of them fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, TypeVar

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import state
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.journal import RESTORES
from ansible_collections.innodb.xtrabackup.tests.support.estate import Estate
from ansible_collections.innodb.xtrabackup.tests.support.mysql import MySQLServer
from ansible_collections.innodb.xtrabackup.tests.support.replica_pairs import PAIRS, Pair, Stopped, stopped_server
from ansible_collections.innodb.xtrabackup.tests.support.restoring import PreparedBackups
from ansible_collections.innodb.xtrabackup.tests.support.servers import (
    DatabaseServer,
    MariaDBServer,
    OptionValue,
    program,
)

HERE = Path(__file__).parent
_ENDED = 600.0  # seconds after which a journal that is empty belongs to no job
ServerFactory = Callable[..., MariaDBServer]
MySQLFactory = Callable[..., MySQLServer]
AnyServerFactory = Callable[..., DatabaseServer]
PairFactory = Callable[..., Pair]
_Server = TypeVar("_Server", bound=DatabaseServer)


def pytest_configure(config: pytest.Config) -> None:
    """Name what is missing once, before the first test; let SIGTERM end the servers too.

    Playbooks find the modules that earlier ones of this session have packed (see callback_plugins/packed_modules.py);
    and programs keep the bytecode of what they import, whatever the user's environment says.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not hasattr(config, "workerinput"):  # workers inherit the variable
        packed = tempfile.TemporaryDirectory(prefix="xtrabackup-packed-")
        Path(packed.name).chmod(0o755)  # a module may have become another user when it imports
        config.add_cleanup(packed.cleanup)
        os.environ["XTRABACKUP_TEST_PACKED"] = packed.name
    for name in ("mariadbd", "mariadb-install-db", "mariadb-backup", "mbstream"):
        program(name)
    MySQLServer.executable()

    def stop(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Executed())
        config.add_cleanup(_forget_restores)


def _forget_restores() -> None:
    """Remove what restores have left in the state of this host about directories of tests that are gone. Other sessions
    may be running."""
    tests = Path(os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp"))
    for journal in (state.state_directory() / RESTORES).glob("*/"):
        notes = list(journal.glob("*.json"))
        for note in notes:
            with contextlib.suppress(ValueError, OSError):
                name = Path(json.loads(note.read_text())["datadir"]).relative_to(tests).parts[0]
                if name.startswith("xtrabackup-") and not (tests / name).exists():
                    note.unlink()
        if time.time() - journal.stat().st_mtime > _ENDED or notes:
            with contextlib.suppress(OSError):
                journal.rmdir()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several workers share the tests one by one; but those that share a server or a backup stay on one worker.

    Such groups are begun first (by xdist, the largest first), then what takes long: a long test that is begun last
    keeps all other workers waiting for its own.
    """
    functions = [item for item in items if isinstance(item, pytest.Function)]
    for item in functions:
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        if any(fixture.scope == "module" for found in fixtures for fixture in found):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: not _takes_long(item))


def _takes_long(item: pytest.Item) -> bool:
    """Whether it is marked slow, or of a module that runs playbooks on hosts."""
    return item.get_closest_marker("slow") is not None or hasattr(getattr(item, "module", None), Estate.__name__)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Have the name of a test end with its group, by which xdist distributes.

    xdist 3.8 writes that name where pytest 9.2 does not read it, and then knows of no group: each worker makes its own
    of what the tests of a module share.
    """
    if not getattr(session.config.option, "loadgroup", False):
        return
    for item in session.items:
        name = getattr(item, "_nodeid", item.nodeid)
        if name != item.nodeid:
            item._id = type(item._id).parse(name)
        if item.get_closest_marker("xdist_group") is not None and "@" not in item.nodeid.rpartition("]")[2]:
            raise pytest.UsageError(f"{item.nodeid} has a group that xdist does not see")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test on servers that is skipped is a failed one."""
    outcome: Any = yield
    report = outcome.get_result()
    if HERE in item.path.parents and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"tests on servers are not skipped: {report.longrepr}"


class _Executed:
    """Fails a session that chose tests on servers and ran none of them (with several workers, test.sh counts)."""

    def __init__(self) -> None:
        self._chosen = False
        self._executed = 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._chosen = any(HERE in item.path.parents for item in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._executed += report.when == "call" and HERE.name in Path(report.fspath).parts

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        idle = self._chosen and not self._executed
        if exitstatus == pytest.ExitCode.OK and idle and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def workdir() -> Iterator[Path]:
    """A directory of this test's own on a real file system (not a tmpfs), with a short path; removed afterwards."""
    place = os.environ.get("XTRABACKUP_TEST_DIR", "/var/tmp")
    directory = Path(tempfile.mkdtemp(prefix="xtrabackup-", dir=place))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def estate(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Estate]:
    """A primary, and hosts for playbooks, whose servers end with the test: MariaDB's, or those of the flavor that
    the test gives as its parameter."""
    made = Estate(workdir, flavor=getattr(request, "param", "mariadb"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def make_server(workdir: Path) -> Iterator[ServerFactory]:
    """A function that starts MariaDB servers in ``workdir``: ``make_server("primary", {"innodb_page_size": "8k"})``.

    ``start=False`` only prepares one (no datadir yet): a host that is to be restored on. Each gets a server_id of its
    own. All of them end with the test, however it ends.
    """
    yield from _servers(MariaDBServer, workdir)


@pytest.fixture
def make_mysql(workdir: Path) -> Iterator[MySQLFactory]:
    """As ``make_server``, for MySQL servers."""
    yield from _servers(MySQLServer, workdir)


@pytest.fixture
def make_any(family: Family, make_server: ServerFactory, make_mysql: MySQLFactory) -> AnyServerFactory:
    """As ``make_server``, for servers of the ``family`` that the test module names."""
    return make_server if family is Family.MARIADB else make_mysql


@pytest.fixture(scope="session")
def prepared_backups() -> Iterator[PreparedBackups]:
    """Prepared backups of each family; tests that share them name the ``xdist_group`` that keeps them together."""
    made = PreparedBackups()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def stopped(family: Family) -> Iterator[Stopped]:
    """The data of a source that was shut down, from which pairs are made."""
    with stopped_server(family) as data:
        yield data


@pytest.fixture
def make_pair(family: Family, make_any: AnyServerFactory, stopped: Stopped) -> PairFactory:
    """A function that makes a pair; options of the source, of the replica."""

    def make(
        source: Mapping[str, OptionValue | bool] | None = None, replica: Mapping[str, OptionValue | bool] | None = None
    ) -> Pair:
        servers = make_any("source", source, start=False), make_any("replica", replica, start=False)
        shutil.copytree(stopped.datadir, servers[0].datadir)
        stopped.restore_to(servers[1].datadir)
        with ThreadPoolExecutor() as starting:
            list(starting.map(DatabaseServer.start, servers))
        return PAIRS[family](*servers, stopped.gtid)

    return make


@pytest.fixture
def pair(make_pair: PairFactory) -> Pair:
    """A source, and a replica to be."""
    return make_pair()


@pytest.fixture
def replicating(pair: Pair) -> Pair:
    """The pair with a channel that is up."""
    pair.run(caught_up_within="30s")
    return pair


def _servers(kind: type[_Server], workdir: Path) -> Iterator[Callable[..., _Server]]:
    servers: list[_Server] = []

    def make(
        name: str = "server", options: Mapping[str, OptionValue | bool] | None = None, *, start: bool = True
    ) -> _Server:
        server = kind(workdir / name, options, server_id=len(servers) + 1)
        servers.append(server)
        if start:
            server.start()
        else:
            server.write_option_file()
        return server

    try:
        yield make
    finally:
        for server in servers:
            with contextlib.suppress(Exception):
                server.kill()
