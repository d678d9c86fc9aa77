# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that the server's dictionary has and whose data file is gone.

A server runs with such a table, which then cannot be used. A backup would be one without the table's data, so it takes
somebody to say that this is known.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Set
from typing import Callable

from ..errors import InvalidOption, Option, TableFileMissing
from ..format.file_names import tablespace_name
from ..units import some_of

# a file is made, renamed or dropped in moments; the dictionary knows it a little sooner or later
_READINGS = 5
_PAUSE = 0.2


def still_missing(read_missing: Callable[[], Set[str]], allowed: Collection[str] = ()) -> list[str]:
    """The names (in a backup) that each of several looks has found: a file that is missing in the middle of a schema
    change is there at another one. One look is enough when no table but ``allowed`` ones lacks its file."""
    missing = set(read_missing())
    for _reading in range(_READINGS):
        if all(tablespace_name(path) in allowed for path in missing):
            break
        time.sleep(_PAUSE)
        missing &= read_missing()
    return sorted(missing)


def require_allowed(missing: Collection[str], allowed: Collection[str]) -> list[str]:
    """The names of the tables whose files (names in a backup) are ``missing``: all of them must be ``allowed``.

    Raises TableFileMissing naming the others, InvalidOption for what is no table's name.
    """
    for name in allowed:
        if "." not in name.strip("."):
            raise InvalidOption(
                f"{Option('allow_missing_tables')}: {name!r} is not database.table",
                option="allow_missing_tables",
                value=name,
            )
    refused = {path: tablespace_name(path) for path in sorted(missing) if tablespace_name(path) not in allowed}
    if refused:
        tables = sorted(set(refused.values()))
        raise TableFileMissing(
            "the data files of tables are missing on the server: "
            + some_of([f"{path} of {table}" for path, table in refused.items()]),
            remedy="Bring the files back, or drop these tables. To take a backup without their data, name them: "
            f"{Option('allow_missing_tables', tables[:5])}.",
            tables=tables[:100],
            files=list(refused)[:100],
        )
    return sorted({tablespace_name(path) for path in missing})
