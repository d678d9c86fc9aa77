# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Option that names the server of a host and its places: host_facts.HOST_OPTION."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  host:
    description:
      - The server that is installed on the host, and its places. What is empty is found by the server's program and its
        option files.
    type: dict
    version_added: 0.1.0
    suboptions:
      flavor:
        description: V(mariadb) or V(mysql) (Percona Server, too). Empty for the one that is installed.
        type: str
        default: ''
      server_program:
        description: The server's program, where it is not in the usual places.
        type: str
        default: ''
      defaults_file:
        description: The server's option file, where it is not its own.
        type: str
        default: ''
      datadir:
        description: The data directory. Empty for that of the option files.
        type: str
        default: ''
      socket:
        description: The server's Unix socket. Empty for that of the option files.
        type: str
        default: ''
      service:
        description: The server's service. Empty for V(mariadb), V(mysql) or V(mysqld), as the system has it.
        type: str
        default: ''
      service_managed:
        description: Whether a service manager stops and starts the server, and is asked about O(host.service).
        type: bool
        default: true
      admin_user:
        description: Who is asked where O(login_user) cannot see everything.
        type: str
        default: ''
      admin_password:
        description: The password of O(host.admin_user).
        type: str
        default: ''
      incoming:
        description: Where a backup arrives. Empty for beside the data directory.
        type: str
        default: ''
      job:
        description: The name of the job that makes a replica of the host, empty for none. Whether it goes on is told.
        type: str
        default: ''
      run_dir:
        description: The directory that has the directory C(jobs), as of M(innodb.xtrabackup.xtrabackup_job).
        type: str
        default: ''
      source:
        description:
          - The login of a replication channel at its source, which is tried from this host. A new channel that cannot
            work is known before anything is copied.
        type: dict
        suboptions:
          host:
            description: The source's name or address.
            type: str
            required: true
          port:
            description: The source's port.
            type: int
            default: 3306
          user:
            description: The account of the channel.
            type: str
            required: true
          password:
            description: Its password.
            type: str
            required: true
          ssl:
            description: Whether the channel is encrypted. By default it is, on MySQL.
            type: bool
          ssl_ca:
            description: The file with the authority's certificate.
            type: str
            default: ''
          ssl_cert:
            description: The file with the replica's certificate.
            type: str
            default: ''
          ssl_key:
            description: The file with its key.
            type: str
            default: ''
          ssl_verify:
            description:
              - Whether the certificate must be valid for O(host.source.host). By default as with a new channel. There
                it must on MariaDB, and on MySQL with O(host.source.ssl_ca).
              - On MariaDB before 11.4, the authorities of this host count where O(host.source.ssl_ca) is not given.
            type: bool
          public_key:
            description: Whether the channel asks for the key that the password is encrypted with, on MySQL without TLS.
            type: bool
            default: false
      files:
        description: Files that must be there. Relative ones are not looked for.
        type: list
        elements: str
        default: []
"""
