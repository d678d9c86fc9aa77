# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams."""

from __future__ import annotations

from .base import BACKUP, PREPARE, RESTORE, XBSTREAM, XtrabackupError, returned_by
from .wording import Clause, Option, Program

_OR_KEYRING = Clause(f", {Option('keyring_file')}")


class StreamError(XtrabackupError):
    """A stream failed while it was being written or read.

    What has no code of its own: an end that was closed, or unauthenticated connections that keep a receiver's port
    busy.
    """

    code = "stream_error"
    default_remedy = "See the message; nothing was published, so the job can be run again."
    modules = returned_by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class StreamCorrupt(StreamError):
    """A stream's bytes are damaged or break the rules of the format.

    A checksum, the structure, or the comparison with the manifest or with ``checksum`` has failed.
    """

    code = "stream_corrupt"
    default_remedy = "Transfer the archive again, or use another copy; nothing was published."


class StreamTruncated(StreamError):
    """A stream ended before its last file or its manifest.

    An archive of another tool has no manifest at all: ``require_manifest: false`` accepts it.
    """

    code = "stream_truncated"
    default_remedy = (
        "The sending side stopped early, or the archive was not copied whole: look at the error of the sender; "
        "nothing was published."
    )


class DecryptionFailed(StreamError):
    """Data cannot be decrypted or authenticated with the key that was given.

    The key is missing, another one, or the data were changed after they were encrypted. Also when nothing proves that
    it is the right one (old xbcrypt files without a hash), and for the keyring of a MySQL server with encrypted
    tablespaces.
    """

    code = "decryption_failed"
    default_remedy = (
        f"Give the key file that the backup was encrypted with ({Option('decrypt')}{_OR_KEYRING}); "
        "if it is "
        "that one, use another copy."
    )
    modules = returned_by(BACKUP, XBSTREAM, PREPARE, RESTORE)


class PeerFailed(StreamError):
    """The other end of a transfer reported an error or vanished.

    This end has stopped as well, and published nothing. If it could, the other end has told its own error, which the
    message repeats.
    """

    code = "peer_failed"
    default_remedy = "Look at the error of the other end; nothing was published."
    modules = returned_by(BACKUP, XBSTREAM)


class PeerTimeout(PeerFailed):
    """The other end of a transfer did not answer in time.

    It could not be reached, sent no data for longer than ``timeout``, or never came.
    """

    code = "peer_timeout"
    default_remedy = (
        f"Check the network, firewalls and the other end; if it is only slow, raise {Option('timeout')}. Nothing was "
        "published."
    )


class PeerRefused(PeerFailed):
    """The other end did not present the pinned certificate or the right token.

    Credentials are for one transfer: each end must know the other one's certificate, both the same token, and a token
    works once.
    """

    code = "peer_refused"
    default_remedy = f"Make new credentials for both ends of this transfer ({Program('xtrabackup_credentials')})."
    modules = returned_by(BACKUP, XBSTREAM)


class CommandFailed(StreamError):
    """A command of a pipeline ended with a non-zero status or a signal.

    All members of the pipeline were ended. The end of what the command printed is in the message.
    """

    code = "command_failed"
    default_remedy = "Look at what the command said; what it has written is incomplete."
    modules = returned_by(BACKUP)
