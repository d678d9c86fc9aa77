# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decision about a host that is to be a replica: kept, continued, provisioned, or refused.

``decide`` is pure: no clock, no files, no server. The first rule of ``RULES`` that applies decides about the data; the
tables of ``compatibility.py`` then say whether that can work. Data are only replaced with consent, or where nothing but
a fresh server's own was found, or where there is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

from ..format.family import Family
from ..server.replication import compare_gtid
from .compatibility import ALWAYS, FOR_A_COPY, FOR_A_NEW_ONE, FOR_A_TRANSFER, problems_of
from .model import PLACE, WAITING, Channel, Host, Journal, Plan, Primary, Problem, Request, Step, new_channel

_SHOWN = 5  # names of databases or objects in a sentence
_CONSENT = "xtrabackup_replica_rebuild"


def decide(primary: Primary, host: Host, journal: Journal, request: Request) -> Plan:
    """Returns the plan for ``host``. Raises nothing: what cannot work is a refusal with all its problems."""
    world = World(primary, host, journal, request)
    plan = next(rule.plan(world) for rule in RULES if rule.applies(world))
    # of what goes on, the job itself tells what is wrong
    followed = plan.step is Step.FOLLOW
    problems = [] if followed else [*problems_of(ALWAYS, primary, host, request)]
    if plan.step is Step.REFUSE:
        problems.append(Problem(plan.rule, plan.why, plan.remedy))
    elif plan.changes and not followed:
        problems += problems_of(FOR_A_NEW_ONE, primary, host, request)
    received = _is_received(plan, world)
    if plan.step is Step.PROVISION:
        problems += problems_of(FOR_A_COPY, primary, host, request)
        if not received:
            problems += [*problems_of(FOR_A_TRANSFER, primary, host, request), *_files_outside(plan, host)]
    before, after = states(plan, world)
    if problems:
        return replace(refusal(problems), before=before, after=before)
    return replace(
        plan,
        received=received,
        tidies=plan.step is Step.KEEP and journal.exists,
        channel=channel_options(plan, world),
        before=before,
        after=after,
    )


def _files_outside(plan: Plan, host: Host) -> list[Problem]:
    """The problem of a server's files outside of a data directory in which there is nothing: without consent they are
    not replaced."""
    named = host.places.outside
    if plan.replaces or not named:
        return []
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return [
        Problem(
            "files_outside",
            f"there is nothing in {host.datadir}, and outside of it are files of a server's data: "
            f"{', '.join(named[:_SHOWN])}{more}",
            f"Remove them if they may go, or say {_CONSENT}: true for {host.name} to replace them.",
        )
    ]


def refusal(problems: Sequence[Problem]) -> Plan:
    """The plan that tells ``problems``, of which there is at least one; the first of them names it."""
    first = problems[0]
    return Plan(Step.REFUSE, first.code, first.message, remedy=first.remedy, problems=tuple(problems))


def require_still_free(host: Host) -> Problem | None:
    """The problem when data were put into the data directory since the decision; for a plan that is ``fresh``."""
    there = host.place.kind not in ("absent", "empty") and host.place.complete
    if not there or _nothing_found(host):
        return None
    found = ", ".join((*host.data.databases, *host.data.objects)[:_SHOWN]) or ", and ".join(host.data.unknown)
    return Problem(
        "data_meanwhile",
        f"since this run began, data were put into {host.datadir} ({found or 'files of another kind'})",
        f"Say {_CONSENT}: true for {host.name} to replace them.",
    )


def _nothing_found(host: Host) -> bool:
    """Returns whether a server that runs has shown nothing but its own, or one that was stopped since has left nothing
    else."""
    if host.place.kind != "datadir":
        return False
    return host.data.state == "none" or (host.data.state == "unknown" and not host.data.running and not host.running)


# --- what the rules look at ----------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """All that a decision is made from, and what follows from it."""

    primary: Primary
    host: Host
    journal: Journal
    request: Request

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are given for the channel and that the host's family knows."""
        settings = dict(self.request.settings)
        if self.host.family is not Family.MYSQL:
            settings.pop("get_source_public_key", None)
        return settings

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of the host, as far as anybody could see them."""
        return self.host.channels or ()

    @property
    def ours(self) -> tuple[Channel, ...]:
        """The channels that replicate from the primary, by whatever name they know it."""
        return tuple(channel for channel in self.channels if self._is_ours(channel))

    @property
    def broken(self) -> tuple[Channel, ...]:
        """Those of them that an error has stopped."""
        return tuple(channel for channel in self.ours if channel.broken)

    @property
    def is_replica(self) -> bool:
        """Returns whether the host replicates from the primary, from nobody else, and without an error."""
        return bool(self.ours) and len(self.ours) == len(self.channels) and not self.broken

    @property
    def begun_here(self) -> bool:
        """Returns whether an earlier run has begun to make a replica of this primary."""
        return self.journal.exists and self.journal.source == self.request.source

    @property
    def still_free(self) -> bool:
        """Returns whether nothing was found that an earlier run has not found, which had stopped the server."""
        place = self.host.place
        unfinished = place.kind == "datadir" and not place.complete
        return place.kind in ("absent", "empty") or unfinished or _nothing_found(self.host)

    def by_address(self, channel: Channel) -> bool:
        """Returns whether ``channel`` knows the primary by the name that was given."""
        return (channel.source_host, channel.source_port) == (self.request.source_host, self.request.source_port)

    def _is_ours(self, channel: Channel) -> bool:
        server = self.primary.server
        same_server = server is not None and bool(channel.source_uuid) and channel.source_uuid == server.server_uuid
        return self.by_address(channel) or same_server

    def may_be_ours(self, channel: Channel) -> bool:
        """Returns whether ``channel`` may know the primary by another name: the same server_id, and nothing executed
        that the primary has not. Not certain, since MariaDB tells no server_uuid."""
        server = self.primary.server
        if server is None or not channel.source_server_id or channel.source_server_id != server.server_id:
            return False
        if server.family is Family.MYSQL:
            return False  # its channels tell the server_uuid
        return bool(channel.executed) and compare_gtid(channel.executed, server.gtid) in ("equal", "behind")


# --- the rules -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionRule:
    """Rule of the decision: when it applies, and its plan. ``name`` is that of the plan."""

    name: str
    applies: Callable[[World], bool]
    plan: Callable[[World], Plan]


def _goes_on(world: World) -> bool:
    return bool(world.host.job) and world.begun_here and world.host.job not in WAITING


def _is_of_another_version(world: World) -> bool:
    """Returns whether the job that goes on does not run the code of this run: what it does may be another thing."""
    return _goes_on(world) and bool(world.request.code) and world.host.job_code != world.request.code


def _refuse_other_version(world: World) -> Plan:
    host = world.host
    return Plan(
        Step.REFUSE, "job_other_version",
        f"the job {host.job_id} on {host.name} (process {host.job_pid}, {host.job}) was started by another version of "
        "this collection, and goes on",
        remedy="Wait until it has ended and run the playbook again, or stop it with the module xtrabackup_job, "
        f"id: {host.job_id}, state: stopped.",
    )  # fmt: skip


def _follow(world: World) -> Plan:
    return Plan(
        Step.FOLLOW, "follow", f"the job of an earlier run goes on there ({world.host.job})",
        what=f"follow the job that makes it a replica of {world.primary.name}",
    )  # fmt: skip


def _refuse_busy(world: World) -> Plan:
    source = world.journal.source
    return Plan(
        Step.REFUSE, "job_running",
        f"a job on {world.host.name} makes it a replica of {source or 'another server'} ({world.host.job})",
        remedy="Wait until it has ended, or stop it with the module xtrabackup_job, state: stopped.",
    )  # fmt: skip


def _keep(world: World) -> Plan:
    channel = world.ours[0]
    other = changed_settings(world, channel)
    why = f"it replicates from {world.request.source}"
    if not world.by_address(channel):
        why = f"it replicates from {world.primary.name}, which it knows as {channel.source}"
    return Plan(
        Step.KEEP, "keep", why,
        what=f"keep the replica {'and set anew, of its channel: ' + ', '.join(other) if other else 'as it is'}",
    )  # fmt: skip


def _rebuild_healthy(world: World) -> Plan:
    return Plan(
        Step.PROVISION, "rebuild_healthy", "it replicates without an error, and consent to replace that was given",
        what=f"{_copy(world)}, replacing a replica that works ({_CONSENT}_healthy)", replaces=True, consent=True,
    )  # fmt: skip


def _refuse_ours(world: World) -> Plan:
    rule, why = "also_replicates_from_others", "it also replicates from others"
    if world.broken:
        rule, why = "replication_broken", f"its replication is broken: {world.broken[0].last_error}"
    renamed = next((channel for channel in world.broken if not world.by_address(channel)), None)
    remedy = _consent(world) if renamed is None else f"{_repoint(world, renamed)} {_consent(world)}"
    return Plan(Step.REFUSE, rule, why, remedy=remedy)


def _refuse_other_source(world: World) -> Plan:
    channel = world.channels[0]
    why = f"it is a replica of {channel.source}, not of {world.request.source}"
    likely = next((one for one in world.channels if world.may_be_ours(one)), None)
    if likely is None:
        return Plan(Step.REFUSE, "replica_of_another", why, remedy=_consent(world))
    return Plan(
        Step.REFUSE, "replica_by_another_name",
        f"{why}; that server has the server_id of {world.primary.name}, and may be it by another name",
        remedy=_repoint(world, likely),
    )  # fmt: skip


def _repoint(world: World, channel: Channel) -> str:
    return (
        f"If {channel.source} is {world.primary.name}, say so in xtrabackup_primary_address and "
        f"xtrabackup_primary_port, or let the replica follow {world.request.source} without a new copy, with the "
        "module xtrabackup_replica and allow_repoint: true."
    )


def _consent(world: World) -> str:
    return (
        f"Say {_CONSENT}: true for {world.host.name} to replace everything in {world.host.datadir} by a copy of "
        f"{world.primary.name}."
    )


def _can_continue(world: World) -> bool:
    place, journal = world.host.place, world.journal
    in_place = place.kind == "datadir" and place.proven and place.complete
    return (
        world.begun_here and in_place and not world.channels and bool(journal.backup_id)
        and place.backup_id == journal.backup_id
    )  # fmt: skip


def _continue(world: World) -> Plan:
    return Plan(
        Step.CONTINUE, "continue", "an earlier run was interrupted there",
        what=f"start the server on the copy of {world.primary.name} that is in place, and replicate",
    )  # fmt: skip


def _can_place(world: World) -> bool:
    placing = world.begun_here and world.journal.phase == PLACE and not world.channels
    return placing and (world.journal.consent or world.still_free)


def _place(world: World) -> Plan:
    rebuild, journal = world.request.rebuild, world.journal
    consent = journal.consent or rebuild
    return Plan(
        Step.PROVISION, "place", "an earlier run was interrupted there",
        what=f"put the copy of {world.primary.name} that has arrived in place",
        arrived=True, replaces=rebuild or journal.replaces, fresh=not consent, consent=consent,
    )  # fmt: skip


def _is_empty(world: World) -> bool:
    return world.host.place.kind in ("absent", "empty") and not world.host.running


def _fill(world: World) -> Plan:
    # logs and state of replication may be in other places
    rebuild = world.request.rebuild
    return Plan(
        Step.PROVISION, "fill", f"there is nothing in {world.host.datadir}",
        what=_copy(world), replaces=rebuild, consent=rebuild,
    )  # fmt: skip


def _is_fresh(world: World) -> bool:
    place = world.host.place
    asked = world.host.channels is not None and world.host.data.state == "none"
    return place.kind == "datadir" and place.complete and not place.restored and asked


def _replace_fresh(world: World) -> Plan:
    return Plan(
        Step.PROVISION, "replace_fresh", "nothing is there but the server's own",
        what=f"{_copy(world)}, in place of the freshly installed server's own data", replaces=True, fresh=True,
    )  # fmt: skip


def _rebuild(world: World) -> Plan:
    why = "its replication is broken" if world.broken else f"it is no replica of {world.request.source}"
    return Plan(
        Step.PROVISION, "rebuild", f"{why}, and consent was given",
        what=f"{_copy(world)}, replacing what is there ({_CONSENT})", replaces=True, consent=True,
    )  # fmt: skip


def _copy(world: World) -> str:
    return f"copy {world.primary.name} to {world.host.datadir}"


def _refuse_data(world: World) -> Plan:
    host, data = world.host, world.host.data
    if data.state != "found":
        may = ", and ".join(data.unknown) or "it is no data directory of a server"
        if data.state == "none":
            may = "it was restored" if host.place.restored else "its replication channels cannot be seen"
        return Plan(
            Step.REFUSE, "data_unknown", f"{host.datadir} may hold data: {may}",
            remedy="Start the server, and give the login of an administrator who sees everything "
            "(xtrabackup_replica_admin_user, xtrabackup_replica_admin_password), so that it can be asked. "
            f"{_consent(world)}",
        )  # fmt: skip
    found = [f"databases: {', '.join(data.databases[:_SHOWN])}"] if data.databases else []
    found += [f"also: {', '.join(data.objects[:_SHOWN])}"] if data.objects else []
    more = ", ..." if max(len(data.databases), len(data.objects)) > _SHOWN else ""
    holds = f"holds data that do not belong to a replica of {world.request.source}"
    why = f"{host.datadir} {holds} ({'; '.join(found)}{more})"
    if not host.running:
        why += " and its server does not run: start it if it is a replica, so that it can be asked"
    elif not host.answered:
        why += " and its server does not accept the logins that this role has"
    return Plan(Step.REFUSE, "data_found", why, remedy=_consent(world))


#: the first that applies decides
RULES: tuple[DecisionRule, ...] = (
    DecisionRule("job_other_version", _is_of_another_version, _refuse_other_version),
    DecisionRule("follow", _goes_on, _follow),
    DecisionRule("job_running", lambda world: bool(world.host.job) and not world.begun_here, _refuse_busy),
    DecisionRule("rebuild_healthy", lambda world: world.is_replica and world.request.rebuild_healthy, _rebuild_healthy),
    DecisionRule("keep", lambda world: world.is_replica, _keep),
    DecisionRule("refuse_ours", lambda world: bool(world.ours) and not world.request.rebuild, _refuse_ours),
    DecisionRule("refuse_other_source", lambda world: bool(world.channels) and not world.ours
                 and not world.request.rebuild, _refuse_other_source),
    DecisionRule("continue", _can_continue, _continue),
    DecisionRule("place", _can_place, _place),
    DecisionRule("fill", _is_empty, _fill),
    DecisionRule("replace_fresh", _is_fresh, _replace_fresh),
    DecisionRule("rebuild", lambda world: world.request.rebuild, _rebuild),
    DecisionRule("refuse_data", lambda world: True, _refuse_data),
)  # fmt: skip


# --- what a plan needs beside the decision -------------------------------------------------------


def _is_received(plan: Plan, world: World) -> bool:
    """Returns whether the backup of an earlier run is whole, this primary's, and young enough."""
    if plan.arrived:
        return True
    there, journal, request = world.host.received, world.journal, world.request
    same = bool(there.backup_id) and there.backup_id == journal.backup_id
    young = request.now - journal.time < request.resume_within
    whole = there.kind == "backup" and there.complete
    return plan.step is Step.PROVISION and world.begun_here and whole and same and young


def changed_settings(world: World, channel: Channel) -> list[str]:
    """The settings that are given for the channel and are not so, by name."""
    return [name for name, value in world.given.items() if channel.settings.get(name) != value]


def channel_options(plan: Plan, world: World) -> dict[str, Any]:
    """The options of xtrabackup_replica: of a channel that is kept, what nobody gives stays as it is."""
    given, request = world.given, world.request
    mysql = world.host.family is Family.MYSQL
    options: dict[str, Any] = {"channel": "", "source_host": request.source_host, "source_port": request.source_port}
    kept: Mapping[str, Any] = new_channel(world.host.family, str(given.get("source_ssl_ca") or ""))
    if plan.step is Step.KEEP:
        channel = world.ours[0]
        kept = channel.settings
        options.update(channel=channel.name, source_host=channel.source_host, source_port=channel.source_port)
    options.update(given)
    options.setdefault("source_ssl", kept.get("source_ssl"))
    if options["source_ssl"]:
        options.setdefault("source_ssl_verify", kept.get("source_ssl_verify"))
    else:
        options.pop("source_ssl_verify", None)
    if mysql:
        options.setdefault("get_source_public_key", kept.get("get_source_public_key"))
    return options


def states(plan: Plan, world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Role, source, data directory and channel before and after ``plan``."""
    host, channels = world.host, world.channels
    before = {
        "role": "replica" if channels else "server" if host.place.kind == "datadir" else "none",
        "source": ", ".join(channel.source for channel in channels),
        "datadir": f"{host.datadir} ({host.place.kind})",
        "channel": ", ".join(f"{channel.name!r}: {channel.state}" for channel in channels),
    }
    if not plan.changes:
        return before, before
    copied = "new" if plan.step is Step.PROVISION else "copied earlier"
    after = {
        "role": "replica",
        "source": world.request.source,
        "datadir": f"{host.datadir} (copy of {world.primary.name}, {copied})",
        "channel": "'': replicating",
    }
    return before, after
