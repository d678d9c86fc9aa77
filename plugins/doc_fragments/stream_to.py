# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option for where the stream of a backup goes: module_support.STREAM_TO_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  stream_to:
    description:
      - Send the backup somewhere instead of keeping it on this host. Always a change.
      - Exactly one of O(stream_to.command), O(stream_to.tcp) and O(stream_to.tls) is needed.
    type: dict
    suboptions:
      command:
        description:
          - A pipeline that is given the archive on its standard input, each member as a list of arguments. No shell
            is involved, and the exit status of each member must be 0.
        type: list
        elements: list
      tcp:
        description:
          - Whatever listens at a TCP port of another host. It gets the archive's bytes on one plain connection.
          - Nothing is encrypted (but for O(encrypt)) and the receiver is not authenticated, so the module warns.
            O(stream_to.tls) is the safe way.
          - The receiver is believed to have stored the backup when it ends the connection in order, once the backup
            has ended. If the backup fails, the connection is reset, so that a receiver that looks can tell.
          - M(innodb.xtrabackup.xbstream) with O(innodb.xtrabackup.xbstream#module:listen.plain=true) ends it in order
            only when the backup is complete, verified and durable.
          - C(nc -l 4444 > full.xbstream) (the netcat of OpenBSD, as Debian has it) can be the other end too, but ends
            with status 0 in any case. Compare O(digests), or check the file with M(innodb.xtrabackup.xbstream) and
            O(innodb.xtrabackup.xbstream#module:state=verified).
        type: dict
        suboptions:
          host:
            description: The receiver's host name or address.
            type: str
            required: true
          port:
            description: The receiver's TCP port.
            type: int
            required: true
          timeout:
            description:
              - How long the receiver may take no data, and how long it may need after the last byte to store everything
                and end the connection.
            type: str
            default: 60s
          connect_timeout:
            description: How long to wait until the receiver listens.
            type: str
            default: 60s
      tls:
        description:
          - A receiver that waits on another host.
        type: dict
        suboptions:
          host:
            description: The receiver's host name or address.
            type: str
            required: true
          port:
            description: The receiver's TCP port.
            type: int
            required: true
          credentials:
            description:
              - File that M(innodb.xtrabackup.xtrabackup_credentials) made on this host with
                O(innodb.xtrabackup.xtrabackup_credentials#module:role=sender).
            type: path
          receiver_certificate:
            description:
              - In place of O(stream_to.tls.credentials), the certificate (PEM) of a receiver that was given
                O(stream_to.tls.token), such as M(innodb.xtrabackup.xtrabackup_replica_provision).
            type: str
          token:
            description:
              - The token of this transfer. It proves to the receiver who the sender is. Only a receiver that has the
                key of O(stream_to.tls.receiver_certificate) gets it.
            type: str
          connections:
            description: How many connections to send over at the same time.
            type: int
            default: 2
          timeout:
            description:
              - How long the receiver may be silent, and how long a connection may be lost. Within that time, the sender
                connects again, and the transfer goes on where it was. After a third of it without a sign of life, a
                connection counts as lost.
            type: str
            default: 60s
          connect_timeout:
            description: How long to wait until the receiver listens.
            type: str
            default: 60s
"""
