#!/usr/bin/python
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action of the same name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xtrabackup_replica_plan
short_description: Decide what is done to a host that is to be a replica
version_added: 0.1.0
description:
  - Decides from facts of both ends, which M(innodb.xtrabackup.xtrabackup_info) has gathered, whether a host is kept as
    a replica, provisioned, or refused, and why. The role P(innodb.xtrabackup.replica#role) does what it says.
  - All problems of a host are told at once. Data are only replaced with consent (O(rebuild)), where nothing but a
    freshly installed server's own was found, or where there is nothing.
  - Runs on the controller, reaches no host, and changes nothing. In check mode it is changed if the role would change
    the host.
author:
  - The innodb.xtrabackup authors (@innodb-xtrabackup)
attributes:
  action:
    description: Has an action plugin that runs on the controller.
    support: full
  async:
    description: Can be run in the background.
    support: none
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what would be different, as C(before) and C(after).
    support: full
options:
  stage:
    description:
      - V(request) checks variables and inventory only.
      - V(decide) decides, from O(primary_facts) and O(host_facts).
    type: str
    choices: [request, decide]
    required: true
  primary:
    description: The primary's name in the inventory.
    type: str
    default: ''
  primary_facts:
    description: Result of M(innodb.xtrabackup.xtrabackup_info) for the primary's server.
    type: dict
  host_facts:
    description:
      - Result of M(innodb.xtrabackup.xtrabackup_info) for the host, with
        O(innodb.xtrabackup.xtrabackup_info#module:host).
    type: dict
  source_host:
    description: The primary's name or address as replicas reach it.
    type: str
    default: ''
  source_port:
    description: The port of the primary's server.
    type: int
    default: 3306
  rebuild:
    description: Consent to replace whatever is in the data directory.
    type: bool
    default: false
  rebuild_healthy:
    description:
      - The inventory hosts whose data are replaced also while they replicate without an error, such as one that has
        drifted from its primary.
    type: list
    elements: str
    default: []
  backup_user:
    description: The account of backups.
    type: str
    default: ''
  backup_password:
    description: Its password. Only whether there is one counts.
    type: str
    default: ''
  replication_user:
    description: The account of the channel.
    type: str
    default: ''
  replication_password:
    description: Its password. Only its length counts.
    type: str
    default: ''
  channel:
    description:
      - Settings of the channel by the names of the options of M(innodb.xtrabackup.xtrabackup_replica), such as
        C(source_ssl). One that is null or empty is left as it is.
    type: dict
    default: {}
  resume_within:
    description: Seconds for which a backup that has arrived is still used.
    type: int
    default: 43200
seealso:
  - module: innodb.xtrabackup.xtrabackup_info
  - module: innodb.xtrabackup.xtrabackup_replica
"""

EXAMPLES = r"""
- name: Decide what to do
  innodb.xtrabackup.xtrabackup_replica_plan:
    stage: decide
    primary: db1
    primary_facts: "{{ primary }}"
    host_facts: "{{ host }}"
    source_host: db1.example.org
    backup_user: backup
    backup_password: "{{ vault_backup_password }}"
    replication_user: repl
    replication_password: "{{ vault_replication_password }}"
  register: decided
"""

RETURN = r"""
plan:
  description: What is done, and why.
  returned: when O(stage=decide) and nothing is refused
  type: dict
  contains:
    step:
      description: V(keep), V(follow), V(continue) or V(provision).
      type: str
    rule:
      description: The name of the rule that decided.
      type: str
      sample: replace_fresh
    what:
      description: What is done, as a part of a sentence.
      type: str
    why:
      description: Why, as a part of a sentence.
      type: str
    replaces:
      description: Whether what is in the data directory may be replaced.
      type: bool
    consent:
      description: Whether somebody has consented to that.
      type: bool
    fresh:
      description: Whether the data directory must still hold nothing but the server's own when it is replaced.
      type: bool
    arrived:
      description: Whether the copy of an earlier run is consistent already.
      type: bool
    received:
      description: Whether the copy of an earlier run has arrived whole.
      type: bool
    tidies:
      description: Whether a replica is kept and what an interrupted run has left beside it is removed.
      type: bool
    channel:
      description: The options of M(innodb.xtrabackup.xtrabackup_replica).
      type: dict
problems:
  description: Everything that is wrong, each with C(code), C(message) and C(remedy).
  returned: on failure
  type: list
  elements: dict
error:
  description: The first of them, as modules return errors.
  returned: on failure
  type: dict
"""
