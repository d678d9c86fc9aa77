#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of backups: unpack, receive, list, check, make."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xbstream
short_description: Unpack, receive, list, check and make archives of backups
version_added: 0.1.0
description:
  - Works on archives in the xbstream format, as M(innodb.xtrabackup.xtrabackup_backup) writes them with
    O(innodb.xtrabackup.xtrabackup_backup#module:format=xbstream), and as the tools C(xbstream) and C(mbstream) read and
    write them.
  - An archive is decrypted, decompressed, compared with its manifest and written in one pass. A directory appears at
    O(dest) only when everything that the manifest names is there, unchanged and durable; until then the files are in
    a directory whose name ends in C(.partial), which is removed after an error. It is beside O(dest), or inside when
    O(dest) is there already, which then keeps its owner and mode.
  - The other tools are not needed on the managed host.
author:
  - the innodb.xtrabackup authors (@innodb)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
  - innodb.xtrabackup.compress
  - innodb.xtrabackup.encrypt
  - innodb.xtrabackup.decrypt
  - innodb.xtrabackup.selection
attributes:
  idempotent:
    support: partial
    details:
      - With O(src), what is there already is left alone. With O(listen), each run waits for a backup of its own.
options:
  state:
    description:
      - V(extracted) unpacks O(src), or what is sent to O(listen), into the directory O(dest). If O(dest) holds that
        very backup already, be it prepared by now, nothing is done.
      - V(created) packs the backup directory O(src) into the archive O(dest). If O(dest) is an archive of that very
        backup already, compressed and encrypted as requested now, nothing is done.
      - V(created) with O(listen) stores what is sent to it in the archive O(dest) as it comes, compressed and encrypted
        as the sender had it.
      - V(listed) returns what the archive O(src) holds. Only headers are read.
      - V(verified) reads and unpacks the whole archive O(src) and compares it with its manifest, without writing
        anything; it fails if the archive is not complete and undamaged.
    type: str
    choices: [created, extracted, listed, verified]
    default: extracted
  src:
    description:
      - The archive; with O(state=created), the backup directory.
      - Required, unless O(listen) is given.
    type: path
  dest:
    description:
      - The directory to unpack into; with O(state=created), the archive to make.
      - With O(listen) it must be empty or absent. An archive may be replaced with O(force=true).
      - Required with O(state=extracted) and O(state=created). Missing parent directories are made.
    type: path
  listen:
    description:
      - Wait for one backup that M(innodb.xtrabackup.xtrabackup_backup) sends with O(ignore:stream_to), and unpack it
        into O(dest) or store it there.
      - Only with O(state=extracted) and O(state=created). Run the task with C(async), or it blocks the play that is to
        start the sender.
      - Exactly one of O(listen.tls) and O(listen.plain=true) is needed.
      - A stored archive is verified while it arrives, as if it were unpacked. Of encrypted files, when O(decrypt) is
        not given, only that they are complete and that their chunks have the right checksums; RV(verified) says so.
    type: dict
    suboptions:
      address:
        description:
          - The local address to listen on. Empty, all addresses of the host.
        type: str
        default: ""
      port:
        description:
          - The TCP port to listen on.
        type: int
        required: true
      from:
        description:
          - The addresses (V(192.0.2.7), V(2001:db8::7)) and networks (V(192.0.2.0/24), V(2001:db8::/32)) from which the
            sender may come. Empty, any.
          - Whoever comes from elsewhere is closed out at once. O(listen.tls) decides about the others.
        type: list
        elements: str
        default: []
      tls:
        description:
          - How both ends prove who they are.
        type: dict
        suboptions:
          credentials:
            description:
              - The receiver's file that M(innodb.xtrabackup.xtrabackup_credentials) made for this transfer.
            type: path
            required: true
      plain:
        description:
          - Take the bytes of an archive from one plain TCP connection. Anybody who reaches the port can send, and
            anybody on the way can read what is not encrypted, so the module warns.
          - The first connection that sends something is the sender; connections that end before that are ignored. Say
            in O(listen.from) where it may come from.
          - The connection is ended in order when the backup is verified, durable and in its place, and reset after any
            failure.
          - The sender may be M(innodb.xtrabackup.xtrabackup_backup) with
            O(innodb.xtrabackup.xtrabackup_backup#module:stream_to.tcp), or, with O(require_manifest=false), for example
            C(mariadb-backup --backup --stream=mbstream | nc -N host 4444). C(-N) makes C(nc) (the netcat of OpenBSD, as
            Debian has it) end its stream when its input ends. It does not tell whether the receiver has failed.
        type: bool
        default: false
      timeout:
        description:
          - The longest silence of the sender, for example V(60s), before the transfer fails. With O(listen.tls) a
            connection may be lost for so long; the transfer goes on when the sender has connected again.
          - With O(listen.plain=true) a sender gives no sign of life but its data, so this must be longer than it waits
            for locks (O(innodb.xtrabackup.xtrabackup_backup#module:lock_timeout)).
        type: str
        default: 60s
      accept_timeout:
        description:
          - How long to wait for the sender's first connection; with O(listen.plain=true), for its first byte.
        type: str
        default: 10m
      progress_file:
        description:
          - A file that tells, while the transfer runs, how far it is; see M(innodb.xtrabackup.xtrabackup_info).
          - It appears when the receiver listens.
          - Beside it, under its name with C(.log) at the end, the receiver writes a log, which only its owner can read.
            It stays when the transfer fails or is killed.
        type: path
  sparse:
    description:
      - Leave the holes of page-compressed tables out of the archive that O(state=created) makes, in sparse chunks,
        which this collection and Percona's C(xbstream) read and MariaDB's C(mbstream) does not. Without it holes
        become zeros.
      - Unpacking makes holes again from either.
      - An archive of that backup that is there already is left alone with V(true), whether it has sparse chunks or
        not, and with V(false) if it has none.
      - Not with O(compress), O(encrypt) or O(listen).
    type: bool
    default: false
  parallel:
    description:
      - How many files are unpacked or packed at the same time.
    type: int
    default: 2
  require_manifest:
    description:
      - Whether an archive must hold the manifest that backups of this collection end with.
      - V(false) accepts archives that C(mariadb-backup) or C(xtrabackup) made. Of those it can only be told whether
        each file that was begun has its end, and whether the last metadata files are there.
    type: bool
    default: true
  digests:
    description:
      - Digests to compute of the archive that is made, unpacked, verified or received, to be returned in RV(digests).
      - V(xxh3) is XXH3 with 64 bits, as C(xxhsum -H3) prints it, V(xxh128) is that with 128 bits. They are fast, and
        protect from damage but not from malice.
      - Over several TLS connections, the digest is that of the connections' raw (binary) digests, one after the other
        in the order of the connections; M(innodb.xtrabackup.xtrabackup_backup) returns the same.
      - With these, or O(checksum), all bytes of an archive are read, also with O(tables) and its like.
      - Not with O(state=listed).
    type: list
    elements: str
    choices: [sha256, sha512, sha1, md5, xxh3, xxh128]
    default: []
  checksum:
    description:
      - What a digest of the archive that is unpacked, verified or received must be, such as
        V(sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709), with any of the algorithms of O(digests).
      - It is compared before anything is published.
      - Not with O(state=listed), and with O(state=created) only together with O(listen).
    type: str
  progress_file:
    description:
      - A file that tells, while an archive is unpacked, checked or made, how far it is; see
        M(innodb.xtrabackup.xtrabackup_info).
      - Beside it, under its name with C(.log) at the end, the job writes a log, which only its owner can read. It stays
        when the job fails or is killed.
    type: path
  force:
    description:
      - Replace what is at O(dest), once the new content is complete. Without it, anything at O(dest) but what is wanted
        is an error.
      - With O(state=extracted), only a backup is replaced, or what was unpacked there before; any other directory is an
        error still. With O(state=created), any file is.
      - Together with O(listen), only with O(state=created).
    type: bool
    default: false
seealso:
  - module: innodb.xtrabackup.xtrabackup_backup
  - module: innodb.xtrabackup.xtrabackup_prepare
  - module: innodb.xtrabackup.xtrabackup_credentials
requirements:
  - xxhash (Python library on the managed host)
  - isal (Python library on the managed host; optional, makes archives faster to read and write)
"""

EXAMPLES = r"""
- name: Unpack an encrypted archive
  innodb.xtrabackup.xbstream:
    src: /srv/backups/full.xbstream
    dest: /srv/restore/full
    decrypt:
      key_file: /etc/xtrabackup/key
    parallel: 4

- name: Wait for a backup straight from the primary
  innodb.xtrabackup.xbstream:
    state: extracted
    dest: /var/lib/mysql.incoming
    listen:
      port: 4444
      tls:
        credentials: /run/xtrabackup/receiver.json
      timeout: 60s
      progress_file: /run/xtrabackup/receiver.progress
  async: 86400
  poll: 0

- name: Keep what the primary sends as an archive, compressed and encrypted as it comes
  innodb.xtrabackup.xbstream:
    state: created
    dest: /srv/vault/primary.xbstream
    listen:
      port: 4444
      tls:
        credentials: /run/xtrabackup/receiver.json
    digests:
      - sha256
  async: 86400
  poll: 0

- name: Take in a backup of another tool, from "mariadb-backup --backup --stream=mbstream | nc -N replica 4444"
  innodb.xtrabackup.xbstream:
    dest: /var/lib/mysql.incoming
    require_manifest: false
    listen:
      address: 10.0.0.2
      port: 4444
      from:
        - 10.0.0.1
      plain: true
      timeout: 5m

- name: What is in there?
  innodb.xtrabackup.xbstream:
    state: listed
    src: /srv/backups/full.xbstream
  register: archive

- name: Fetch two tables and everything that the server knows about accounts out of a large archive
  innodb.xtrabackup.xbstream:
    src: /srv/backups/full.xbstream
    dest: /srv/restore/orders
    tables:
      - shop.orders
      - shop.order lines
    files:
      - mysql/global_priv.*

- name: How large is one database?
  innodb.xtrabackup.xbstream:
    state: listed
    src: /srv/backups/full.xbstream
    databases:
      - shop
  register: shop  # shop.selected.bytes

- name: Is it all there, and undamaged?
  innodb.xtrabackup.xbstream:
    state: verified
    src: /srv/backups/full.xbstream
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    decrypt:
      key_file: /etc/xtrabackup/key

- name: Make an archive of a backup directory
  innodb.xtrabackup.xbstream:
    state: created
    src: /srv/backups/2026-11-21
    dest: /srv/vault/2026-11-21.xbstream
    compress:
      algorithm: zstd
      level: 3

- name: Make an archive without the holes of page-compressed tables, not to be read by mbstream
  innodb.xtrabackup.xbstream:
    state: created
    src: /srv/backups/2026-11-21
    dest: /srv/vault/2026-11-21.xbstream
    sparse: true

- name: Unpack what mariadb-backup --stream=mbstream wrote
  innodb.xtrabackup.xbstream:
    src: /srv/backups/stock.mbstream
    dest: /srv/restore/stock
    require_manifest: false
"""

RETURN = r"""
path:
  description: The directory that was unpacked into, or the archive that was made or read.
  returned: success
  type: str
  sample: /srv/restore/full
backup:
  description:
    - The record of the backup, as M(innodb.xtrabackup.xtrabackup_backup) returned it.
    - Null for an archive without a manifest, and for O(listen) in check mode.
  returned: success
  type: dict
  sample: {id: 0d3b9e4c-8a1f-4e0e-9e0b-0b5f3c1c7a55, type: full, to_lsn: 5213042, last_lsn: 5214770}
manifest:
  description:
    - SHA-256 of the backup's manifest, the same for its archive and its directory. Null when there is no manifest, and
      for O(listen) in check mode.
    - Of a selection that was unpacked, SHA-256 of the manifest of that selection.
  returned: success
  type: dict
  sample: {sha256: 7ca13ea9cbb05ef2d3a2b6dc1c5f4f4da1d3a4b0d7b5a0cf2a1e85c1d5c3d7a1}
digests:
  description:
    - The digests that O(digests) and O(checksum) name, in hexadecimal, and with O(listen.tls) those that the sender
      computed.
    - Empty when nothing was read or made, because there was nothing to do, or in check mode.
  returned: success
  type: dict
  sample: {sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
verified:
  description:
    - Whether the content of every file that was stored was compared with the manifest.
    - V(false) for encrypted files without O(decrypt), and in check mode; always V(false) without a manifest.
  returned: O(state=created) with O(listen)
  type: bool
selected:
  description: How much of the archive is selected.
  returned: with O(databases), O(tables) or O(files)
  type: dict
  contains:
    files:
      description: Number of files.
      type: int
      sample: 3
    bytes:
      description: Their size. Null when the archive has no manifest.
      type: int
      sample: 229376
    stored_bytes:
      description: The size of their entries in the archive.
      type: int
      sample: 62674
entries:
  description: What the archive holds, in the order of names; what of it is selected.
  returned: O(state=listed)
  type: list
  elements: dict
  contains:
    name:
      description: The entry's name in the archive.
      type: str
      sample: shop/orders.ibd.zst
    stored_bytes:
      description: Its size in the archive.
      type: int
      sample: 31337
    path:
      description: The file that it is unpacked to. Null for an entry that unpacking drops.
      type: str
      sample: shop/orders.ibd
    bytes:
      description: The file's size. Null when the archive has no manifest, and for what the manifest does not name.
      type: int
      sample: 114688
error:
  description: What failed, where, and what to do.
  returned: on failure
  type: dict
  sample:
    code: stream_truncated
    message: "/srv/backups/full.xbstream: ends without the manifest of a complete backup"
    remedy: "The sending side stopped early: look at its error."
    details: {where: /srv/backups/full.xbstream}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.archive_states import STATES, work
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import (
    COMPRESS_OPTION,
    DECRYPT_OPTION,
    DIGESTS_OPTION,
    ENCRYPT_OPTION,
    SELECTION_OPTIONS,
    run,
)


def main() -> None:
    """The module's entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": sorted(STATES), "default": "extracted"},
            "src": {"type": "path"},
            "dest": {"type": "path"},
            "listen": {
                "type": "dict",
                "options": {
                    "address": {"type": "str", "default": ""},
                    "port": {"type": "int", "required": True},
                    "from": {"type": "list", "elements": "str", "default": []},
                    "tls": {
                        "type": "dict",
                        "options": {"credentials": {"type": "path", "required": True}},
                    },
                    "plain": {"type": "bool", "default": False},
                    "timeout": {"type": "str", "default": "60s"},
                    "accept_timeout": {"type": "str", "default": "10m"},
                    "progress_file": {"type": "path"},
                },
            },
            "decrypt": DECRYPT_OPTION,
            "compress": COMPRESS_OPTION,
            "encrypt": ENCRYPT_OPTION,
            "sparse": {"type": "bool", "default": False},
            **SELECTION_OPTIONS,
            "parallel": {"type": "int", "default": 2},
            "require_manifest": {"type": "bool", "default": True},
            "digests": DIGESTS_OPTION,
            "checksum": {"type": "str"},
            "progress_file": {"type": "path"},
            "force": {"type": "bool", "default": False},
        },
        required_if=[("state", "extracted", ["dest"]), ("state", "created", ["dest"])],
        required_one_of=[("src", "listen")],
        mutually_exclusive=[("src", "listen")],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
