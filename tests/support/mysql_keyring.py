# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL servers with a keyring (component_keyring_file), without a change to the unpacked server.

The server looks for the manifest that names its components beside the program as it was called, and for the keyring's
configuration beside the component: a directory of links and copies serves both.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from .mysql import PLUGIN_DIR, ROOT, SERVER_PROGRAM, MySQLServer
from .servers import OptionValue

COMPONENT = "component_keyring_file"


class KeyringMySQLServer(MySQLServer):
    """A MySQL server whose keyring is the file ``keyring`` below ``home`` (shared by servers with the same home)."""

    home: Path

    @classmethod
    def at(cls, home: Path) -> type[KeyringMySQLServer]:
        """The class of servers with a keyring below ``home``, which is made."""
        plugins = home / "plugins"
        plugins.mkdir(parents=True)
        (home / "mysqld").symlink_to(SERVER_PROGRAM)
        (home / "mysqld.my").write_text(json.dumps({"components": f"file://{COMPONENT}"}), encoding="utf-8")
        shutil.copy(PLUGIN_DIR / f"{COMPONENT}.so", plugins)
        configuration = {"path": str(home / "keyring"), "read_only": False}
        (plugins / f"{COMPONENT}.cnf").write_text(json.dumps(configuration), encoding="utf-8")
        defaults: dict[str, OptionValue] = {
            **cls.default_options,
            "plugin_dir": str(plugins),
            "basedir": str(ROOT / "usr"),
        }
        return type("KeyringMySQLServer", (cls,), {"home": home, "default_options": defaults})

    @classmethod
    def executable(cls) -> str:
        """The link beside which the manifest is."""
        return str(cls.home / "mysqld")

    @classmethod
    def template_datadir(cls, layout: Mapping[str, OptionValue]) -> Path:
        """The template of servers without a keyring: a new datadir has nothing encrypted."""
        return MySQLServer.template_datadir(layout)
