# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places on a host that a copy goes to: whether it can arrive, be put in place, and be started there.

All of it is asked before anything is copied, and changes nothing. The restore asks again when the copy is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StorageError, TargetUnsafe, XtrabackupError
from ..format.family import Flavor
from ..host import below, durable
from ..host.anchor import followed, open_path
from ..restore.journal import RestoreJournal
from ..restore.layout import HostLayout, read_layout
from ..restore.placement import choose_staging, require_safe
from ..restore.replaced import unlike_a_datadir
from ..server.installed import ServerRequest

_ACCESS = os.W_OK | os.X_OK


def real_datadir(datadir: str) -> str:
    """The directory that a copy is put at for ``datadir``: where a symbolic link leads that nobody else can change."""
    try:
        return str(followed(Path(datadir)))
    except (TargetUnsafe, StorageError):
        return datadir


def read_places(requested: ServerRequest, host: Mapping[str, Any], incoming: str) -> dict[str, Any] | None:
    """Facts about the places of the server ``host`` (``read_host``), None where none is installed.

    ``error``: why nothing can be put there, None where it can; ``missing``: directories of logs that are not there;
    ``in_the_way``: names in a directory that is no data directory; ``outside``: files of a server's data elsewhere;
    ``incoming`` and ``staging``: where the copy arrives and where it is put, with the free bytes there. ``layout``:
    what the option files say that has to be as on the primary.
    """
    if not host["installed"]:
        return None
    facts: dict[str, Any] = {
        "error": None, "missing": [], "in_the_way": [], "outside": [], "incoming": None, "staging": None, "layout": {},
    }  # fmt: skip
    try:
        family = Flavor(host["flavor"]).family
        defaults_file = Path(requested.defaults_file) if requested.defaults_file else None
        layout = read_layout(defaults_file, Path(host["datadir"]), family, host["version"])
        facts["layout"] = _compared(layout)
        with durable.storage_errors("looking at", layout.datadir):
            _read(layout, Path(incoming), facts)
    except XtrabackupError as error:
        facts["error"] = error.as_dict()
    return facts


def _read(layout: HostLayout, incoming: Path, facts: dict[str, Any]) -> None:
    """Add to ``facts`` what is at the places. Raises what a restore would raise there, OSError."""
    staging = choose_staging(layout.datadir)
    beside = staging.root.parent
    facts["staging"] = _room(beside)
    facts["incoming"] = _room(incoming.parent)
    facts["missing"] = sorted(str(path) for path in set(_directories_of_logs(layout)) if not path.is_dir())
    require_safe(layout.datadir, incoming, layout)
    _require_writable(incoming.parent, is_there=True)
    for place in (beside, *_directories_of_data(layout)):
        _require_writable(place)
    begun = RestoreJournal(layout.datadir).known(staging).unfinished is not None
    facts["in_the_way"] = unlike_a_datadir(layout, staging, begun=begun)
    facts["outside"] = [str(path) for path in layout.existing_outside()]


def _compared(layout: HostLayout) -> dict[str, Any]:
    return {
        "innodb_page_size": layout.page_size,
        "lower_case_table_names": layout.lower_case_table_names,
        "data_file_sizes": [file.size for _path, file in layout.data_files],
    }


def _directories_of_data(layout: HostLayout) -> list[Path]:
    """Directories outside of the data directory in which a restore puts files; it makes those that are missing."""
    found = {layout.undo_directory, layout.log_group_home_dir, layout.aria_log_dir, *layout.innodb_directories}
    found |= {path.parent for path, _file in layout.data_files}
    return sorted(path for path in found if layout.datadir not in (path, *path.parents))


def _directories_of_logs(layout: HostLayout) -> Iterator[Path]:
    """Directories outside of the data directory without which a server does not start. Nobody makes them."""
    logs = layout.logs
    for path in (logs.log_bin, logs.log_bin_index, logs.relay_log, logs.relay_log_index):
        if path is not None and layout.datadir not in path.parents:
            yield path.parent


def _require_writable(place: Path, *, is_there: bool = False) -> None:
    """Raises StorageError unless this user can make files in ``place``, or make it where it ``is_there`` not yet;
    TargetUnsafe for a symbolic link on its way that somebody else could change."""
    nearest = place
    while not is_there and not os.path.lexists(nearest):
        nearest = nearest.parent
    with durable.storage_errors("opening", nearest):
        descriptor = open_path(nearest)
    try:
        if not os.access(below.path_of(descriptor), _ACCESS):
            raise StorageError(f"{nearest} cannot be written to by this user", path=str(nearest))
    finally:
        os.close(descriptor)


def _room(place: Path) -> dict[str, Any]:
    """The free bytes of the file system that ``place`` is on or will be on, and what tells it from others."""
    nearest = place
    while not nearest.exists():
        nearest = nearest.parent
    return {"path": str(nearest), "device": nearest.stat().st_dev, "free": durable.free_bytes(nearest)}
