# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore requests."""

from __future__ import annotations

from .base import RESTORE, XtrabackupError, returned_by


class RequestError(XtrabackupError):
    """A restore request cannot be carried out on this host."""

    code = "request_error"
    default_remedy = "See the guide to restores by request."
    modules = returned_by(RESTORE)


class RequestChanged(RequestError):
    """A restore request was carried out on this host, and its file has changed since.

    The host knows the digest of what was requested; comments, the order of fields and the description do not count.
    """

    code = "request_changed"
    default_remedy = "Requests do not change: undo the change, and write what is wanted now as a new request."


class RequestSuperseded(RequestError):
    """The host's data come from a newer request; carrying out this one would roll them back.

    Newer is what was ``created`` later. A request that was carried out before the newer one is no error. One that says
    it was written after it was carried out counts as of then.
    """

    code = "request_superseded"
    default_remedy = "Remove the request, or, if its backup is wanted, write a new one with the time of today."


class RequestExpired(RequestError):
    """A restore request was not carried out in time."""

    code = "request_expired"
    default_remedy = "Remove the request, or write a new one if the backup is still wanted."


class RequestUnproven(RequestError):
    """A data directory says that a request was carried out, or a newer one, and this host knows nothing of it.

    What is in a data directory can be written by whoever runs as the server's account, so it proves nothing. The
    host's own memory is in ``/var/lib/xtrabackup``. It has none of a data directory that comes from another host or
    disk, that has another path or is on another file system since, or when that memory was lost. Nothing was touched.
    The remedy names the command with which root vouches for the marker.
    """

    code = "request_unproven"
    default_remedy = "If the data did not come from that restore, remove the marker; otherwise vouch for it."
