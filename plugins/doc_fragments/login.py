# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for the login to the database server: module_support.LOGIN_OPTIONS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_user:
    description:
      - The account to connect with.
      - Without it, what O(config_file) says is used, and then the operating system user's name.
    type: str
  login_password:
    description:
      - The password of O(login_user).
    type: str
  login_host:
    description:
      - The host on which the server listens. The server's files must be reachable on the managed host all the same.
      - Ignored where O(login_unix_socket) is given.
    type: str
  login_port:
    description:
      - The port on which the server listens.
    type: int
  login_unix_socket:
    description:
      - The path of the server's Unix domain socket.
    type: path
  config_file:
    description:
      - An option file in the format of C(my.cnf), from which user, password, host, port, socket and TLS files are
        read (group C([client])). Options of the task override it.
      - A file that everybody can write to is an error, since servers and clients ignore it.
    type: path
  ca_cert:
    description:
      - The file with the certificate of the authority that signed the server's certificate. With it the connection
        is encrypted and the server's certificate is verified.
    type: path
    aliases: [ssl_ca]
  client_cert:
    description:
      - The file with the client's certificate.
    type: path
    aliases: [ssl_cert]
  client_key:
    description:
      - The file with the private key of O(client_cert).
    type: path
    aliases: [ssl_key]
  connect_timeout:
    description:
      - How many seconds to wait for the connection.
    type: int
    default: 30
requirements:
  - PyMySQL (Python library on the managed host)
"""
