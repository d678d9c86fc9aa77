# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one file of the command line and the engine: ``build_console.py OUTPUT [PYTHON [MANUALS]]``.

The file is a zip archive that PYTHON (by default whichever python3 comes first) runs. It depends on the collection's
content alone, byte for byte. Its manual pages go into the directory MANUALS. Needs nothing but the standard library and
the collection that this script is in.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

_PACKAGE = "innodb_xtrabackup"
NAMES = ("xtrabackup", "mariadb-backup", "mariabackup", "xbstream", "mbstream")
_ROOMS = ("console", "engine")
_START = f"""import sys

from {_PACKAGE}.console.main import main

sys.exit(main())
"""


def content(module_utils: Path) -> dict[str, bytes]:
    """The files of the archive, by name."""
    files = {"__main__.py": _START.encode(), f"{_PACKAGE}/__init__.py": b""}
    for room in _ROOMS:
        for path in (module_utils / room).rglob("*.py"):
            files[f"{_PACKAGE}/{path.relative_to(module_utils).as_posix()}"] = path.read_bytes()
    return files


def build(module_utils: Path, python: str) -> bytes:
    """The program."""
    target = io.BytesIO()
    target.write(f"#!{python}\n".encode())
    # stored, not compressed: other versions of zlib make other bytes
    with zipfile.ZipFile(target, "a", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(content(module_utils).items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return target.getvalue()


def main() -> None:
    """Write the program where the first argument says."""
    output = Path(sys.argv[1])
    python = sys.argv[2] if len(sys.argv) > 2 else "/usr/bin/env python3"
    made = build(Path(__file__).resolve().parents[3] / "plugins" / "module_utils", python)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(output.name + ".new")
    temporary.write_bytes(made)
    temporary.chmod(0o755)
    os.replace(temporary, output)
    if len(sys.argv) > 3:
        write_manuals(output, Path(sys.argv[3]))


def write_manuals(program: Path, directory: Path) -> None:
    """Have the program write its manual pages."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        with open(directory / f"{name}.1", "wb") as page:
            subprocess.run([sys.executable, str(program), "manual", name], stdout=page, check=True)


if __name__ == "__main__":
    main()
