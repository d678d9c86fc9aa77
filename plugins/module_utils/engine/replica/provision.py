# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that makes a replica of its host: receive a backup, recover it, put it in place, start the server, replicate.

What may be done was decided before (``plan.py``), from facts that are old by then: whether the data directory still
holds nothing but the server's own is asked again here, before and after the server is stopped. A journal (see
``journal.py``) says how far the job is. A run after one that was interrupted, at whatever point, takes up there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import DataMeanwhile, InvalidOption, XtrabackupError
from ..host import durable
from ..host.held import give_back_after_kill
from ..host.ownership import resolve_ownership
from ..innodb.tablespace import compressed_page_size
from ..progress import Progress
from ..recovery.backup_directory import read_backup_directory
from ..recovery.prepare import PrepareOptions, prepare
from ..restore.layout import HostLayout
from ..restore.markers import MOVE
from ..restore.place import restore
from ..restore.plan import RestoreOptions, plan_restore
from ..restore.source import layout_for
from ..server.connection import Connection, ConnectionParameters
from ..server.replication import WantedChannel
from ..server.replication_convergence import converge
from ..server.service import Service
from ..server.start_position import start_from_backup
from ..sources.network import TlsSource
from ..stream.extract_options import ExtractOptions
from ..transport.intake import DirectoryIntake
from .facts import parse_host
from .gather import HostQuestion, incoming_of, journal_of, read_all, read_host
from .journal import read_journal, remove_journal, write_journal
from .model import PLACE, TRANSFER, Plan, Step
from .plan import require_still_free


@dataclass(frozen=True)
class ServiceCommands:
    """Commands that start and stop the server in the place of its service, and the seconds that either may take."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    timeout: float = 600


@dataclass(frozen=True)
class Provision:
    """Parameters of the job. ``name``: the host's, in messages; ``plan``: what was decided; ``login`` of the account of
    backups, and of an ``administrator`` who sees a freshly installed server; ``channel``: the channel that is wanted;
    ``source``: the sender that is waited for, None where nothing is received; ``owner`` and ``group`` of the data."""

    name: str
    plan: Plan
    question: HostQuestion
    login: ConnectionParameters
    administrator: ConnectionParameters
    channel: WantedChannel
    source: TlsSource | None = None
    recovery: PrepareOptions = field(default_factory=PrepareOptions)
    owner: str | None = None
    group: str | None = None
    commands: ServiceCommands = field(default_factory=ServiceCommands)


@dataclass
class Provisioned:
    """Result of the job, in JSON types: the record of the backup, and the results of its steps, empty where an earlier
    run has done them."""

    backup: dict[str, Any] = field(default_factory=dict)
    prepare: dict[str, Any] = field(default_factory=dict)
    restore: dict[str, Any] = field(default_factory=dict)
    replication: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def provision(wanted: Provision, progress: Progress) -> Provisioned:
    """Do what ``wanted.plan`` says; the server replicates when this returns. Of a replica that is kept, only what an
    earlier run has left is removed.

    The phases of ``progress`` are those of receiving (see ``tls_receiver.receive``), preparing and restoring, with
    ``checking``, ``stopping the server``, ``starting the server`` and ``starting replication``. While it listens, it
    announces the ``certificate`` that the sender has to know. Raises DataMeanwhile, ServiceFailed, ReplicationError and
    what receiving, preparing and restoring raise; the message says whether the data directory was touched.
    """
    return _Run(wanted, progress).run()


class _Run:
    def __init__(self, wanted: Provision, progress: Progress) -> None:
        self._wanted = wanted
        self._plan = wanted.plan
        self._progress = progress
        host = read_host(wanted.question)
        self._datadir = Path(host["datadir"])
        self._incoming = Path(incoming_of(wanted.question, host["datadir"]))
        self._journal = journal_of(str(self._incoming))
        # what is at the place of arrival is only ours, and may be removed, when an earlier run has noted that
        self._begun_before = bool(read_journal(self._journal)["exists"])
        self._service = Service(
            datadir=self._datadir,
            socket=Path(host["socket"]),
            name=host["service"],
            stop_command=wanted.commands.stop,
            start_command=wanted.commands.start,
            timeout=wanted.commands.timeout,
        )
        self._done = Provisioned()

    def run(self) -> Provisioned:
        """Do one step after the other."""
        if self._plan.step is Step.PROVISION:
            with _saying(f"Nothing was touched in {self._datadir}"):
                if not self._plan.received:
                    self._receive()
                if not self._plan.arrived:
                    self._prepare()
                self._check()
                self._stop()
            with _saying(f"The copy is not yet in place in {self._datadir}, and the next run puts it there"):
                self._place()
        if self._plan.step is not Step.KEEP:
            with _saying(f"The copy is in place in {self._datadir}, and the next run goes on there"):
                self._progress.phase("starting the server")
                self._service.start()
                self._replicate()
        self._tidy()
        return self._done

    def _receive(self) -> None:
        """Take in the backup, whole and verified, or leave nothing of it."""
        source = self._wanted.source
        if source is None:
            raise InvalidOption("listen is missing: the backup has not arrived yet", option="listen")
        self._note(TRANSFER)
        if self._begun_before:
            durable.remove_tree(self._incoming)
        self._progress.announce("certificate", source.certificate)
        options = ExtractOptions(parallel=self._wanted.recovery.parallel, page_size_of=compressed_page_size)
        received = source.receive(DirectoryIntake(self._incoming, options), progress=self._progress)
        if received.manifest is not None:  # which is always so: only this collection sends by TLS
            self._done.backup = received.manifest.record
        # so that the next run knows which one it is, should this one end here
        self._note(TRANSFER)

    def _prepare(self) -> None:
        if not self._done.backup:
            self._done.backup = read_backup_directory(self._incoming).record
        # what an event does on the primary arrives from there
        options = replace(self._wanted.recovery, disable_events=True)
        result = prepare(self._incoming, None, options, self._progress)
        self._done.warnings += result.warnings
        self._done.prepare = {"changed": result.changed, "backup": result.record}
        if result.report is not None:
            self._done.prepare["recovery"] = result.report.as_dict()
        self._note(PLACE)

    def _check(self) -> None:
        """Check, while the server still runs, that the copy can be put in place."""
        self._progress.phase("checking")
        self._require_still_free()
        layout, options = self._restoring()
        plan_restore(self._incoming, layout, replace(options, preview=True))

    def _stop(self) -> None:
        """Stop the server, and start it again if data came meanwhile."""
        self._progress.phase("stopping the server")
        stopped = self._service.stop()
        try:
            self._require_still_free()
        except XtrabackupError:
            if stopped:
                self._service.start()
            raise

    def _place(self) -> None:
        layout, options = self._restoring()
        planned = plan_restore(self._incoming, layout, options)
        if not planned.changed:
            give_back_after_kill()
            self._done.backup = planned.record
            return
        result = restore(planned, options, self._progress)
        self._done.warnings += result.warnings
        self._done.backup = self._done.backup or result.record
        self._done.restore = {
            "changed": result.changed,
            "files": result.files,
            "bytes": result.bytes,
            "seconds": result.seconds,
            "configuration": {"kept": result.kept, "dropped": result.dropped},
        }

    def _replicate(self) -> None:
        self._progress.phase("starting replication")
        channel = self._wanted.channel
        source_host, source_port = str(channel.source_host), channel.source_port
        login = replace(self._wanted.login, unix_socket=str(self._service.socket))
        with Connection(login) as connection:
            done = converge(
                connection,
                channel,
                lambda family: start_from_backup(str(self._datadir), source_host, source_port, family),
            )
        self._done.replication = done.replication or {}

    def _tidy(self) -> None:
        """Remove the journal; what was received has become the data directory, and a run before may have left more."""
        if self._begun_before:
            for left in (self._incoming, f"{self._incoming}.lock"):
                durable.remove_tree(left)
        remove_journal(self._journal)

    def _note(self, phase: str) -> None:
        note = {
            "source": f"{self._wanted.channel.source_host}:{self._wanted.channel.source_port}",
            "phase": phase,
            "id": self._done.backup.get("id", ""),
            "time": int(time.time()),
            "replaces": self._plan.replaces,
            "consent": self._plan.consent,
            "service": self._service.name,
        }
        write_journal(self._journal, note)

    def _require_still_free(self) -> None:
        """Raises DataMeanwhile when data came that no one has consented to replace. The copy may have taken hours."""
        if not self._plan.fresh:
            return
        wanted = self._wanted
        found = read_all(wanted.question, wanted.login, wanted.administrator)
        problem = require_still_free(parse_host(wanted.name, found))
        if problem is not None:
            raise DataMeanwhile(problem.message, remedy=problem.remedy, path=self._datadir)

    def _restoring(self) -> tuple[HostLayout, RestoreOptions]:
        server = self._wanted.question.server
        defaults_file = Path(server.defaults_file) if server.defaults_file else None
        layout = layout_for(self._incoming, defaults_file, self._datadir, server.program or None)
        ownership, top_mode = resolve_ownership(
            layout.datadir, layout.user, self._wanted.owner, self._wanted.group, None
        )
        return layout, RestoreOptions(
            method=MOVE,
            ownership=ownership,
            top_mode=top_mode,
            force=self._plan.replaces,
            recovery=self._wanted.recovery,
        )


@contextlib.contextmanager
def _saying(state: str) -> Iterator[None]:
    """An error of the block says in which ``state`` it leaves the host."""
    try:
        yield
    except XtrabackupError as error:
        error.message = f"{state}: {error.message}"
        raise
