#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of one end of a transfer, as a state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_credentials
short_description: Credentials for one transfer of a backup from host to host
version_added: 0.1.0
description:
  - Makes the key and self-signed certificate with which one end of a transfer proves who it is, and keeps them in a
    file together with the other end's certificate and the one-time token of the transfer.
  - The private key is made on the managed host and never leaves it. Only the certificate is returned, which is public.
  - The usual order is to run this module on both hosts without O(peer_certificate), and again on both with the
    RV(certificate) of the other one and a random O(token).
author:
  - the innodb.xtrabackup authors (@innodb)
extends_documentation_fragment:
  - innodb.xtrabackup.attributes
  - innodb.xtrabackup.attributes.local
attributes:
  idempotent:
    support: partial
    details:
      - What still serves is kept. With O(force=true), each run makes a new key and certificate.
options:
  path:
    description:
      - The file with the credentials. It is readable by its owner only; its directory is made if it is missing.
      - A file that holds anything else is never touched.
    type: path
    required: true
  state:
    description:
      - V(present) makes the credentials, or keeps those that are there and still serve, and changes just the peer's
        certificate or the token if they differ.
      - V(absent) removes the file.
    type: str
    choices: [present, absent]
    default: present
  role:
    description:
      - Which end of the transfer this host is. Required with O(state=present).
    type: str
    choices: [sender, receiver]
  peer_certificate:
    description:
      - The certificate of the other end, in PEM format. The transfer accepts exactly this one.
      - What is there stays if this is not given.
    type: str
  token:
    description:
      - A random secret of at least 16 characters that both ends share. It opens one session; after that, both ends
        need a new one.
      - What is there stays if this is not given.
    type: str
  force:
    description:
      - Make a new key and certificate even if those that are there still serve.
      - Both ends must then get to know each other again.
    type: bool
    default: false
notes:
  - A certificate is valid for two days, and is made anew when fewer than twelve hours of them are left.
seealso:
  - module: innodb.xtrabackup.xtrabackup_backup
  - module: innodb.xtrabackup.xbstream
requirements:
  - cryptography >= 38
"""

EXAMPLES = r"""
- name: Each end makes its own key
  innodb.xtrabackup.xtrabackup_credentials:
    path: /run/xtrabackup/transfer.json
    role: "{{ 'sender' if inventory_hostname == xtrabackup_primary else 'receiver' }}"
  register: own

- name: The receiver learns whom to expect
  innodb.xtrabackup.xtrabackup_credentials:
    path: /run/xtrabackup/transfer.json
    role: receiver
    peer_certificate: "{{ hostvars[xtrabackup_primary].own.certificate }}"
    token: "{{ transfer_token }}"

- name: Nothing is left behind
  innodb.xtrabackup.xtrabackup_credentials:
    path: /run/xtrabackup/transfer.json
    state: absent
"""

RETURN = r"""
certificate:
  description: This host's certificate in PEM format. Not returned in check mode when it would be made anew.
  returned: O(state=present)
  type: str
  sample: "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n"
fingerprint:
  description: SHA-256 of the certificate, hexadecimal. Returned as the certificate is.
  returned: O(state=present)
  type: str
  sample: 5f0c1bb3e1c3c7a2ff4ac5d38ea1bb2eba1f45c0f3a9a4b4f9b5c1a2d5e8f901
expires:
  description: When the certificate ends, in UTC. Returned as the certificate is.
  returned: O(state=present)
  type: str
  sample: "2026-11-23T03:14:00+00:00"
path:
  description: The file with the credentials.
  returned: success
  type: str
  sample: /run/xtrabackup/transfer.json
renewed:
  description: Whether the key and certificate are new, or would be.
  returned: O(state=present)
  type: bool
  sample: true
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import FormatError, InvalidOption
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host import durable
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport import credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.credentials import Credentials
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import Outcome, run


def existing(path: str) -> Credentials | None:
    """The credentials at ``path`` that may be kept; None when there are none, or others can have read them."""
    try:
        return credentials.load(path)
    except InvalidOption:
        # known to others than their owner: only good for being replaced
        return None


def describe(held: Credentials | None, before: Credentials | None) -> dict[str, Any]:
    """``held`` for the diff, in which neither secrets nor what cannot be predicted may appear."""
    if held is None:
        return {"state": "absent"}
    new_key = before is None or before.certificate != held.certificate
    new_token = before is not None and bool(before.token) and before.token != held.token
    return {
        "state": "present",
        "role": held.role,
        "fingerprint": "(made anew)" if new_key else held.fingerprint,
        "peer_fingerprint": credentials.fingerprint(held.peer_certificate) if held.peer_certificate else None,
        "token": "(another one)" if new_token else "(set)" if held.token else None,
        "token_used": held.token_used,
    }


def absent(module: AnsibleModule, path: str) -> Outcome:
    """Remove the file, if it holds credentials."""
    changed = os.path.lexists(path)
    if changed:
        if not credentials.is_ours(path):
            raise FormatError(f"{path} holds something else than transfer credentials", remedy="Check the path.")
        if not module.check_mode:
            durable.remove_tree(path)
    before = {"state": "present" if changed else "absent"}
    return Outcome(changed, before, {"state": "absent"}, {"path": path})


def present(module: AnsibleModule, path: str) -> Outcome:
    """Make or complete the credentials."""
    exists = os.path.lexists(path)
    before = existing(path) if exists else None
    wanted = credentials.plan_credentials(
        before,
        module.params["role"],
        peer_certificate=module.params["peer_certificate"] or "",
        token=module.params["token"] or "",
        renew=module.params["force"],
    )
    changed = wanted != before
    if changed and not module.check_mode:
        credentials.save(path, wanted)
    renewed = before is None or wanted.certificate != before.certificate
    result: dict[str, Any] = {"path": path, "renewed": renewed}
    if not (renewed and module.check_mode):
        result.update(
            certificate=wanted.certificate, fingerprint=wanted.fingerprint, expires=wanted.expires.isoformat()
        )
    was = describe(before, before) if before else {"state": "present, unsafe" if exists else "absent"}
    return Outcome(changed, was, describe(wanted, before), result)


def work(module: AnsibleModule) -> Outcome:
    """Bring the file into the wanted state."""
    path = module.params["path"]
    return absent(module, path) if module.params["state"] == "absent" else present(module, path)


def main() -> None:
    """The module's entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "role": {"type": "str", "choices": ["sender", "receiver"]},
            "peer_certificate": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "force": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["role"])],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
