# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine opens, renames, removes and gives away files by paths in few places, and each of them is known.

Elsewhere it does so below a directory that it has opened: ``engine/host/below.py``, or with ``engine/host/durable.py``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import host

ENGINE = Path(host.__file__).parents[1]
#: where the few ways to do it are
OWN = tuple(
    f"host/{name}.py"
    for name in (
        *("anchor", "below", "confinement", "durable", "handover", "held", "kernel", "replaceable", "state", "trees"),
    )
)

OS = frozenset(
    {"open", "rename", "replace", "renames", "unlink", "remove", "rmdir", "link", "symlink", "truncate", "mkfifo"}
    | {"chown", "lchown", "chmod", "utime"}
)
HARMLESS_SHUTIL = frozenset({"which", "disk_usage"})
METHODS = frozenset(
    {"read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rename", "chmod", "lchmod", "touch", "rmdir"}
    | {"symlink_to", "hardlink_to"}
)
#: ends of the names of objects whose methods work below a directory that is open, or write a stream
RECEIVERS = ("sink", "root", "files", "backup", "self")

_NEW = "a new file, O_EXCL, in a staging place of our own"
_STAGING = "in a staging place of our own"
_PROC = "of the kernel"
_STATE = "in our directory of state, where only root writes"
_ISOLATED = "in the directory of the isolated run, which is changed with it"
_PUBLISHING = "staged files get their places, which the journal of the restore has checked"
_ASKED = "named by the user who runs us"

ALLOWED = {
    ("backup/torn_pages.py", "FreshReader.__init__"): "a descriptor of ours, opened again",
    ("host/accounts.py", "_processes"): _PROC,
    ("host/copying.py", "Copier.copy"): _NEW,
    ("host/copying.py", "_create"): _NEW,
    ("host/journal.py", "Journal.remove"): _STATE,
    ("host/journal.py", "is_at_work"): _STATE,
    ("host/running.py", "_is_server"): _PROC,
    ("host/running.py", "open_again"): _PROC,
    (
        "job_log.py",
        "JobLog.__init__",
    ): "a new file, O_EXCL, that gets the name beside the user's progress file",
    ("job_log.py", "JobLog.remove"): "our own file, by the name that it was given",
    ("progress.py", "Progress._write"): "a new file, O_EXCL, that gets the name that the user gave",
    ("progress.py", "Progress.close"): "the name that the user gave",
    ("recovery/memory.py", "_groups"): _PROC,
    ("recovery/memory.py", "_meminfo"): _PROC,
    ("recovery/memory.py", "_number"): _PROC,
    ("recovery/memory.py", "_page_cache"): _PROC,
    ("recovery/mysql/family.py", "MysqlFamily.clean"): _ISOLATED,
    ("recovery/mysql/server.py", "_install_keyring"): _ISOLATED,
    ("recovery/mysql/server.py", "fill_scratch"): _ISOLATED,
    ("recovery/process.py", "ActivityWatch._look"): _PROC,
    ("recovery/recover_directory.py", "_remove_leftovers"): _ISOLATED,
    ("recovery/prepare_marker.py", "PrepareMarker.end"): _ISOLATED,
    ("restore/host_files.py", "_Copies._copy_file"): _NEW,
    ("restore/host_files.py", "_Copies.copy"): _NEW,
    ("replica/gather.py", "_unit_of"): _PROC,
    ("restore/holders.py", "_opened"): _PROC,
    ("restore/markers.py", "remove_in_progress"): _PUBLISHING,
    ("restore/moved_backup.py", "_remove_empty"): "empty directories, by descriptors of those above them",
    ("restore/moved_backup.py", "remove_moved"): "an empty directory, which the user has named",
    ("restore/place.py", "_Restore._publish_beside"): _PUBLISHING,
    ("restore/place.py", "_Restore._publish_inside"): _PUBLISHING,
    ("restore/place.py", "_Restore._put_aside"): _PUBLISHING,
    ("restore/place.py", "_Restore._undo"): _STAGING,
    ("restore/place.py", "_Restore.finish"): _PUBLISHING,
    ("restore/place.py", "_Restore.publish"): _PUBLISHING,
    ("restore/place.py", "_unpack"): "an empty directory of our own",
    ("restore/placement.py", "_mount_points"): _PROC,
    ("restore/unpacking.py", "make_unpacking_place"): "the directory that was just made, in one that is held",
    ("server/applier_guard.py", "_run_guard"): "/dev/null",
    ("server/option_file.py", "_options"): "option files of the host's administrator",
    ("sources/descriptor.py", "DescriptorSource.reading"): "a descriptor that is open, such as standard input",
    ("sources/place.py", "_PlaceSource.reading"): f"{_ASKED}: an archive, or a pipe",
    ("stream/archive.py", "FileChannel.create"): _NEW,
    ("stream/cipher.py", "read_key_file"): f"{_ASKED}: a file, or a pipe",
    ("stream/descriptor_sink.py", "DescriptorChannel._without_blocking"): "a descriptor of ours, opened again",
    ("stream/output.py", "FileOutput.__init__"): _NEW,
    ("stream/packed_directory.py", "_EntryFile.__init__"): _NEW,
    ("stream/apply_manifest.py", "_rename_files"): _STAGING,
    ("stream/sink.py", "DirectorySink.discard"): _STAGING,
    ("stream/sink.py", "_DirectoryFile.__init__"): _NEW,
    ("transport/credentials.py", "_locked"): "O_NOFOLLOW, O_NONBLOCK; nothing is read or written",
    ("transport/credentials.py", "_private_file"): "in memory",
    ("transport/credentials.py", "_read"): "O_NOFOLLOW, O_NONBLOCK, then checked",
}


class Call(NamedTuple):
    """One call that acts on a path: the file and the function it is in, its line and what it says."""

    file: str
    function: str
    line: int
    text: str


def _acts_on_a_path(call: ast.Call) -> bool:
    function = call.func
    if isinstance(function, ast.Name):
        return function.id == "open"
    if not isinstance(function, ast.Attribute):
        return False
    receiver, name = ast.unparse(function.value), function.attr
    if receiver == "os":
        return name in OS
    if receiver == "shutil":
        return name not in HARMLESS_SHUTIL
    if receiver == "io":
        return name in ("open", "FileIO")
    if receiver.endswith(RECEIVERS):
        return False
    # str.replace and dataclasses.replace have more arguments
    return name in METHODS or name == "open" or (name == "replace" and len(call.args) == 1 and not call.keywords)


def calls_in(source: str, file: str) -> Iterator[Call]:
    """All calls in ``source`` that act on a path."""

    def visit(node: ast.AST, scope: tuple[str, ...]) -> Iterator[Call]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from visit(child, (*scope, child.name))
                continue
            if isinstance(child, ast.Call) and _acts_on_a_path(child):
                yield Call(file, ".".join(scope), child.lineno, ast.unparse(child))
            yield from visit(child, scope)

    return visit(ast.parse(source), ())


def engine_calls() -> list[Call]:
    """Those of the engine, but for the rooms that are there for them."""
    files = {path.relative_to(ENGINE).as_posix(): path for path in sorted(ENGINE.rglob("*.py"))}
    assert len(files) > 150
    return [
        call
        for name, path in files.items()
        if not name.startswith(OWN)
        for call in calls_in(path.read_text(encoding="utf-8"), name)
    ]


def test_no_function_acts_on_a_path_that_is_not_known_to() -> None:
    unknown = [
        f"{call.file}:{call.line}: {call.text}" for call in engine_calls() if (call.file, call.function) not in ALLOWED
    ]
    assert not unknown, "use engine/host/below.py, or say in ALLOWED why nobody else can steer it: " + "\n".join(
        unknown
    )


def test_every_place_that_is_known_to_is_there() -> None:
    assert sorted({(call.file, call.function) for call in engine_calls()}) == sorted(ALLOWED)


def test_the_test_sees_what_it_is_there_for() -> None:
    source = (
        "def f(path, text):\n"
        "    open(path); os.open(path, 0); path.open('rb'); path.read_bytes(); path.write_text(''); path.unlink()\n"
        "    os.rename(path, text); path.rename(text); path.replace(text); shutil.rmtree(path); os.chown(path, 0, 0)\n"
        "    path.chmod(0); path.touch(); io.FileIO(path)\n"
        "def harmless(text, root, self):\n"
        "    text.replace('a', 'b'); replace(text, size=1); root.open(text); _sink.open(text); shutil.which(text)\n"
    )
    found = list(calls_in(source, "x.py"))
    assert {call.function for call in found} == {"f"}
    assert len(found) == 14
