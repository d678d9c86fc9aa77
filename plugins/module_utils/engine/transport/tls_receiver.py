# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving end of a TLS transfer: listen, take in beside the destination, verify, publish, confirm."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace

from ..errors import StreamError, StreamTruncated
from ..progress import Progress
from ..stream.digests import Checksum, StreamDigests, combine
from . import tls_framing as framing
from .intake import Intake, Received
from .tls_connection import TlsConnection
from .tls_framing import Hello
from .tls_listener import Listener, ListenOptions
from .tls_receiving_link import ReceivingLink
from .tls_session import TlsSession

_log = logging.getLogger(__name__)


def receive(
    listen: ListenOptions,
    intake: Intake,
    *,
    digests: Sequence[str] = (),
    checksum: Checksum | None = None,
    progress: Progress | None = None,
) -> Received:
    """Wait for one sender and give what it sends to ``intake``, which publishes it when all is verified and durable.

    The ``digests``, and those that the sender announces, are of the stream (see the module digests); what the sender
    computed, and ``checksum``, are compared before anything is published.

    The phases of ``progress`` are ``listening`` (a sender may connect now), ``receiving``, ``publishing``.
    Raises TargetNotEmpty, TargetUnsafe and TargetBusy before listening, PeerTimeout, PeerFailed, PeerRefused, and
    what reading the stream or writing the files raises; nothing is left at the destination or beside it then.
    """
    return _Reception(listen, intake, digests, checksum, progress or Progress("receive")).run()


class _Reception:
    """One transfer into one destination."""

    def __init__(
        self,
        listen: ListenOptions,
        intake: Intake,
        digests: Sequence[str],
        checksum: Checksum | None,
        progress: Progress,
    ) -> None:
        self._listen = listen
        self._intake = intake
        self._digests = digests
        self._checksum = checksum
        self._progress = progress
        self._session: TlsSession | None = None
        self._links: list[ReceivingLink] = []
        self._ended: dict[int, dict[str, str]] = {}  # links whose data has all arrived, with its digests
        self._told = False  # the sender knows that its backup is published

    def run(self) -> Received:
        """Listen, receive, publish, confirm."""
        listener: Listener | None = None
        try:
            with self._intake.opened():
                listener = Listener(self._listen, self._link, self._read)
                received = self._receive(listener)
            self._confirm(received)
        except BaseException as error:
            self._stop(error)
            raise
        finally:
            if listener is not None:
                listener.close()
        return received

    def _receive(self, listener: Listener) -> Received:
        """Wait for the sender and for the end of its stream, verify that."""
        try:
            self._progress.phase("listening")
            session = self._session = listener.accept()
            self._progress.phase("receiving")
            count = len(session.links)
            session.wait(lambda: len(self._ended) == count)
            self._progress.phase("publishing")
            received = self._verified(count)
            # a sender that has failed or vanished meanwhile will not know that its backup is here: then it is not
            session.wait(lambda: all(link.live for link in session.links))
            return received
        except BaseException as error:
            self._session = listener.session
            self._stop(error)
            raise

    def _verified(self, count: int) -> Received:
        found = combine([self._ended[index] for index in range(count)])
        if self._checksum is not None:
            self._checksum.compare(found, self._intake.where)
        received = self._intake.finish()
        if received.manifest is None:
            # only this collection sends by TLS
            raise StreamTruncated(f"{self._intake.where} ends without a manifest")
        return replace(received, digests=found)

    def _stop(self, error: BaseException) -> None:
        """End all threads, so that staging can be removed, and tell the sender."""
        session = self._session
        if session is None:
            return
        session.fail(error)
        with contextlib.suppress(Exception):  # the error is what the caller must see
            self._intake.abort(error)  # before the readers are waited for: they may be waiting for memory
        session.close(error)

    def _confirm(self, received: Received) -> None:
        """Tell the sender, until it says that it knows or cannot be reached: what is published stays so."""
        session = self._session
        if session is None or received.manifest is None:
            return
        ack = framing.Ack(str(self._intake.dest), received.manifest.own_sha256)
        try:
            for link in self._links:
                link.confirm(ack)
            session.wait(lambda: self._told)
        except StreamError as error:
            _log.info("the sender may not know that its backup is here: %s", error)
        session.close()

    def _link(self, session: TlsSession, connection: TlsConnection, hello: Hello) -> ReceivingLink:
        announced = dict.fromkeys((*hello.digests, *self._digests))
        digests = StreamDigests(tuple(announced), self._checksum)
        link = ReceivingLink(
            session, connection, self._listen.timeout, hello=hello, digests=digests, progress=self._progress
        )
        self._links.append(link)
        return link

    def _read(self, link: ReceivingLink) -> None:
        """Take in what comes by one link; then listen until the sender knows that it is published."""
        self._intake.consume(link, link.peer)
        digests = link.finish()
        with link.session.changing():
            self._ended[link.index] = digests
        link.wait_for_goodbye()
        with link.session.changing():
            self._told = True
