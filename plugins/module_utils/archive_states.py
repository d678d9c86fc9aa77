# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions for the states of the module xbstream; the module itself holds the documentation and the options."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine import manifest as manifests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.errors import InvalidOption, TargetNotEmpty
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.replaceable import (
    require_replaceable,
    require_source_apart,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.host.staging import (
    is_taken,
    require_free,
    require_renamable,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.innodb.tablespace import compressed_page_size
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.manifest import Manifest
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.arrivals import arriving
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.network import ArrivingSource
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.sources.registry import source_at
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream import cipher, compare, entry, pack
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.codec import Compression
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.digests import Checksum, StreamDigests
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract import (
    extract_archive,
    verify_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.extract_options import ExtractOptions
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.key_proof import NOT_AUTHENTICATED
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.listing import (
    Listing,
    checked_listing,
    list_archive,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.selection import Selection
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.staging import replaceable_by
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.stream.stream_file import require_sparse_possible
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.transport.intake import (
    ArchiveIntake,
    DirectoryIntake,
    Intake,
    Received,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.module_support import (
    SELECTION_OPTIONS,
    Outcome,
    progress_of,
)


def decrypt_key(params: dict[str, Any]) -> bytes | None:
    """The key to decrypt with, if one is given."""
    wanted = params["decrypt"]
    return cipher.read_key_file(wanted["key_file"], option="decrypt.key_file") if wanted else None


def extract_options(params: dict[str, Any]) -> ExtractOptions:
    """Returns the engine's options for unpacking and verification. Raises what reading the key raises."""
    return ExtractOptions(decrypt_key(params), params["parallel"], params["require_manifest"])


def warn_of_forgery(module: AnsibleModule, manifest: Manifest | None) -> None:
    """Tell that nothing authenticates what was decrypted of an archive without ``manifest``."""
    if manifest is None and module.params["decrypt"]:
        module.warn(NOT_AUTHENTICATED)


def digests_of(params: dict[str, Any]) -> StreamDigests | None:
    """The digests that are wanted of an archive, None for none; raises InvalidOption."""
    checksum = Checksum.parse(params["checksum"]) if params["checksum"] else None
    if checksum is None and not params["digests"]:
        return None
    return StreamDigests(params["digests"], checksum)


def answer(path: str, manifest: Manifest | None, digests: dict[str, str] | None = None) -> dict[str, Any]:
    """Returns the part of the result that every state has."""
    return {
        "path": path,
        "backup": manifest.record if manifest else None,
        "manifest": {"sha256": compare.identity(manifest)},
        "digests": digests or {},
    }


def facts(path: str, manifest: Manifest | None, kind: str) -> dict[str, Any]:
    """One side of the diff."""
    return {"path": path, "state": kind, "backup": manifest.id if manifest else None}


def selection_of(params: dict[str, Any]) -> Selection:
    """Returns the selected part of the archive; it is false for the whole archive."""
    return Selection(*(tuple(params[name] or ()) for name in SELECTION_OPTIONS))


def selected(part: Listing | None) -> dict[str, Any]:
    """Returns number and sizes (bytes) of the selected files; {} without a selection."""
    if part is None:
        return {}
    size = part.manifest.total_bytes if part.manifest else None
    return {"selected": {"files": len(part.entries), "bytes": size, "stored_bytes": sum(part.entries.values())}}


def listed(module: AnsibleModule) -> Outcome:
    """Return what the archive holds."""
    selection = selection_of(module.params)
    whole = list_archive(source_at(module.params["src"]))
    part = whole.part(selection, module.params["src"]) if selection else None
    listing = part or whole
    files = {file.stored or file.path: file for file in listing.manifest.files} if listing.manifest else {}
    dropped = listing.manifest.discarded if listing.manifest else ()
    entries = [
        {
            "name": name,
            "stored_bytes": size,
            "path": None if name in dropped else files[name].path if name in files else entry.output_name(name),
            "bytes": files[name].size if name in files else None,
        }
        for name, size in sorted(listing.entries.items())
    ]
    result = {**answer(module.params["src"], whole.manifest), **selected(part), "entries": entries}
    return Outcome(False, result=result)


def verified(module: AnsibleModule) -> Outcome:
    """Read all of the archive."""
    digests = digests_of(module.params)
    with progress_of("xbstream", module.params["progress_file"]) as progress:
        manifest = verify_archive(
            source_at(module.params["src"]), extract_options(module.params), digests=digests, progress=progress
        )
    warn_of_forgery(module, manifest)
    return Outcome(False, result=answer(module.params["src"], manifest, digests.hexdigests() if digests else None))


def created(module: AnsibleModule) -> Outcome:
    """Pack a backup directory."""
    params = module.params
    src, dest = params["src"], params["dest"]
    if params["checksum"]:
        raise InvalidOption("checksum: of an archive that is still to be made nobody knows it", option="checksum")
    digests_of(params)
    compress = Compression(**params["compress"]) if params["compress"] else None
    encrypt = params["encrypt"]
    key = None
    if encrypt:
        key = cipher.read_key_file(encrypt["key_file"], encrypt["algorithm"], option="encrypt.key_file")
    require_sparse_possible(sparse=params["sparse"], encoded=bool(compress or encrypt))
    manifest = manifests.read(src)
    manifest.require_whole(src)
    manifests.verify_directory(src, manifest, digests=False)
    suffix = (compress.suffix if compress else "") + (cipher.SUFFIX if key else "")
    after = {**facts(dest, manifest, "archive"), "encoding": suffix}
    if os.path.isdir(dest):
        raise TargetNotEmpty(
            f"{dest} is a directory, an archive cannot take its place",
            remedy="Name the file that is to be written.",
            path=dest,
        )
    taken = os.path.lexists(dest)
    if taken and compare.archive_holds(source_at(dest), manifest, suffix, sparse=params["sparse"]):
        return Outcome(False, after, after, answer(dest, manifest))
    if taken and not params["force"]:
        raise TargetNotEmpty(f"{dest} exists and is not this backup's archive", path=dest)
    digests = {}
    if not module.check_mode:
        with progress_of("xbstream", params["progress_file"]) as progress:
            made = pack.create_archive(
                src,
                dest,
                compress=compress,
                encrypt_key=key,
                sparse=compressed_page_size if params["sparse"] else None,
                digests=params["digests"],
                parallel=params["parallel"],
                progress=progress,
            )
            digests = made["digests"]
    before = facts(dest, None, "other" if taken else "absent")
    return Outcome(True, before, after, answer(dest, manifest, digests))


def extracted(module: AnsibleModule) -> Outcome:
    """Unpack an archive."""
    params = module.params
    dest, force = params["dest"], params["force"]
    options, digests = extract_options(params), digests_of(params)
    source = source_at(params["src"])
    if not source.is_stored:
        raise InvalidOption(f"src: {params['src']} is not a file", option="src")
    listing = checked_listing(source, require_manifest=params["require_manifest"])
    selection = selection_of(params)
    part = listing.part(selection, params["src"]) if selection else None
    listing = part or listing
    taken = is_taken(Path(dest))
    after = facts(dest, listing.manifest, "partial" if part else "backup")
    if taken and compare.directory_holds(dest, listing):
        return Outcome(False, after, after, {**answer(dest, listing.manifest), **selected(part)})
    if taken and force:
        place = Path(os.path.abspath(dest))
        require_renamable(place)
        require_replaceable(place, replaceable_by(source, params["require_manifest"]))
        if source.path is not None:
            require_source_apart(source.path, place)
    else:
        require_free(Path(dest))
    before = facts(dest, compare.directory_manifest(dest) if taken else None, "other" if taken else "absent")
    found = {}
    if not module.check_mode:
        with progress_of("xbstream", params["progress_file"]) as progress:
            wanted = replace(options, selection=selection, page_size_of=compressed_page_size, force=force)
            extract_archive(source, dest, wanted, digests=digests, progress=progress)
            found = digests.hexdigests() if digests else {}
        warn_of_forgery(module, listing.manifest)
    return Outcome(True, before, after, {**answer(dest, listing.manifest, found), **selected(part)})


def received(module: AnsibleModule) -> Outcome:
    """Wait for a backup, and unpack it or store it."""
    params = module.params
    dest, listen, storing = params["dest"], params["listen"], params["state"] == "created"
    source = arriving(listen)
    digests_of(params)
    options = extract_options(params)
    intake: Intake
    if storing:
        for name in ("compress", "encrypt", "sparse"):
            if params[name]:
                raise InvalidOption(f"{name}: what is received is stored as it comes", option=name)
        taken = os.path.lexists(dest)
        intake = archive = ArchiveIntake(dest, replace(options, force=params["force"]))
        archive.require_free()
    else:
        if params["force"]:
            raise InvalidOption("force: what is received is unpacked into an empty place only", option="force")
        taken = False
        intake = DirectoryIntake(dest, replace(options, page_size_of=compressed_page_size))
        require_free(Path(dest))
    before, kind = facts(dest, None, "other" if taken else "absent"), "archive" if storing else "backup"
    for warning in source.warnings():
        module.warn(warning)
    arrived = Received(None, verified=False)
    if not module.check_mode:
        arrived = receive(params, source, intake)
        warn_of_forgery(module, arrived.manifest)
    result = answer(dest, arrived.manifest, arrived.digests)
    if storing:
        result["verified"] = arrived.verified
    return Outcome(True, before, facts(dest, arrived.manifest, kind), result)


def receive(params: dict[str, Any], source: ArrivingSource, intake: Intake) -> Received:
    """Wait for the sender, and have ``intake`` take what comes."""
    checksum = Checksum.parse(params["checksum"]) if params["checksum"] else None
    with progress_of("xbstream", params["listen"]["progress_file"]) as progress:
        return source.receive(intake, digests=params["digests"], checksum=checksum, progress=progress)


STATES = {"created": created, "extracted": extracted, "listed": listed, "verified": verified}


def work(module: AnsibleModule) -> Outcome:
    """Bring about the wanted state."""
    if selection_of(module.params) and (
        module.params["listen"] is not None or module.params["state"] not in ("extracted", "listed")
    ):
        raise InvalidOption(
            "databases, tables and files go with state: extracted or listed of an archive (src) only",
            option=next(name for name in SELECTION_OPTIONS if module.params[name]),
        )
    if module.params["sparse"] and module.params["state"] != "created":
        raise InvalidOption("sparse goes with state: created only", option="sparse")
    if module.params["listen"] is not None:
        if module.params["state"] not in ("extracted", "created"):
            raise InvalidOption("listen goes with state: extracted or created only", option="listen")
        return received(module)
    if module.params["state"] == "listed" and digests_of(module.params) is not None:
        raise InvalidOption(
            "digests and checksum need all bytes, of which state: listed reads only some",
            remedy="Say state: verified.",
            option="checksum" if module.params["checksum"] else "digests",
        )
    return STATES[module.params["state"]](module)
