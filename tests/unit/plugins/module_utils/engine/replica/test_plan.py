# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision about a host: each rule, each pair of neighbours, and what holds in every state of the world."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.format.family import Family
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.model import (
    Channel,
    Host,
    Journal,
    Place,
    Places,
    Primary,
    PrimaryServer,
    Received,
    Request,
    Room,
    UserData,
)
from ansible_collections.innodb.xtrabackup.plugins.module_utils.engine.replica.plan import (
    RULES,
    DecisionRule,
    Plan,
    Step,
    World,
    decide,
    require_still_free,
)

SERVER = PrimaryServer(Family.MARIADB, (10, 11, 6), 1, gtid="0-1-100")
PRIMARY = Primary("db1", SERVER)
REQUEST = Request(
    "10.0.0.1", 3306, backup_user="b", backup_password="b", replication_user="r", replication_password="r",
    code="this",
)  # fmt: skip
SOURCE = REQUEST.source
NO_JOURNAL = Journal()
SETTINGS = {
    "source_user": "r",
    "source_ssl": False,
    "source_ssl_ca": "",
    "source_ssl_cert": "",
    "source_ssl_key": "",
    "source_ssl_verify": True,
}
OURS = Channel("", "10.0.0.1", 3306, "replicating", source_server_id=1, settings=SETTINGS)
OTHER = replace(OURS, source_host="10.0.0.9", source_server_id=9, executed="0-9-5")
BROKEN = replace(OURS, state="broken", last_error="no such table")
FREE = UserData("none", running=True)
FOUND = UserData("found", running=True, databases=("crm",), objects=("view mysql.v",))
UNKNOWN = UserData("unknown", running=False, unknown=("its server does not run",))
DATADIR = Place("datadir")
HOST = Host("db2", "/data", True, Family.MARIADB, (10, 11, 6), Place("absent"), server_id=2, job_code="this")
RUNS = replace(HOST, place=DATADIR, running=True, answered=True, channels=(), data=FREE)
COPY = Place("datadir", restored=True, proven=True, backup_id="id")
RECEIVING = Journal(True, SOURCE, "transfer", "id", 100)
THEIRS = replace(RECEIVING, source="db9:3306")
PLACING = Journal(True, SOURCE, "place", "id", 100, replaces=True)


def plan(host: Host, journal: Journal = NO_JOURNAL, request: Request = REQUEST, primary: Primary = PRIMARY) -> Plan:
    return decide(primary, host, journal, request)


def rebuilding() -> Request:
    return replace(REQUEST, rebuild=True)


# --- each rule -----------------------------------------------------------------------------------

# name of the rule, host, journal, whether consent is given, step, name of the plan
CASES: list[tuple[str, Host, Journal, bool, Step, str]] = [
    (
        "job_other_version",
        replace(HOST, job="applying redo", job_id="replica-db2", job_pid=42, job_code="older"),
        RECEIVING,
        False,
        Step.REFUSE,
        "job_other_version",
    ),
    ("follow", replace(HOST, job="applying redo"), RECEIVING, False, Step.FOLLOW, "follow"),
    (
        "job_running",
        replace(HOST, job="listening"),
        replace(RECEIVING, source="db9:3306"),
        True,
        Step.REFUSE,
        "job_running",
    ),
    ("rebuild_healthy", replace(RUNS, channels=(OURS,)), NO_JOURNAL, True, Step.PROVISION, "rebuild_healthy"),
    ("keep", replace(RUNS, channels=(OURS,)), NO_JOURNAL, False, Step.KEEP, "keep"),
    ("refuse_ours", replace(RUNS, channels=(BROKEN,)), NO_JOURNAL, False, Step.REFUSE, "replication_broken"),
    ("refuse_other_source", replace(RUNS, channels=(OTHER,)), NO_JOURNAL, False, Step.REFUSE, "replica_of_another"),
    ("continue", replace(HOST, place=COPY, data=UNKNOWN), PLACING, False, Step.CONTINUE, "continue"),
    ("place", replace(HOST, place=DATADIR, data=UNKNOWN), PLACING, False, Step.PROVISION, "place"),
    ("fill", HOST, NO_JOURNAL, False, Step.PROVISION, "fill"),
    ("replace_fresh", RUNS, NO_JOURNAL, False, Step.PROVISION, "replace_fresh"),
    ("rebuild", replace(RUNS, data=FOUND), NO_JOURNAL, True, Step.PROVISION, "rebuild"),
    ("refuse_data", replace(RUNS, data=FOUND), NO_JOURNAL, False, Step.REFUSE, "data_found"),
]


def test_every_rule_has_a_case_in_its_order() -> None:
    assert [case[0] for case in CASES] == [rule.name for rule in RULES]


@pytest.mark.parametrize(("rule", "host", "journal", "consent", "step", "name"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_decides_where_it_is_the_first_that_applies(
    rule: str, host: Host, journal: Journal, consent: bool, step: Step, name: str
) -> None:
    healthy = replace(REQUEST, rebuild_healthy=True)
    made = plan(host, journal, (healthy if rule == "rebuild_healthy" else rebuilding()) if consent else REQUEST)
    assert (made.step, made.rule) == (step, name)


#: neighbours that no world lets apply both
EXCLUSIVE = {
    ("follow", "job_running"),
    ("refuse_ours", "refuse_other_source"),
    ("refuse_other_source", "continue"),
    ("fill", "replace_fresh"),
}


@pytest.mark.parametrize(("earlier", "later"), list(zip(RULES, RULES[1:])), ids=lambda rule: rule.name)
def test_of_two_neighbours_that_apply_the_earlier_decides(earlier: DecisionRule, later: DecisionRule) -> None:
    before = RULES[: RULES.index(earlier)]
    both = [
        world
        for world in worlds()
        if earlier.applies(world) and later.applies(world) and not any(rule.applies(world) for rule in before)
    ]
    assert bool(both) is ((earlier.name, later.name) not in EXCLUSIVE)
    for world in both:
        made = decide(world.primary, world.host, world.journal, world.request)
        expected = earlier.plan(world)
        assert (made.step, made.rule, made.why) == (expected.step, expected.rule, expected.why)


# --- every state of the world --------------------------------------------------------------------

PLACES = (
    Place("absent"),
    Place("empty"),
    Place("other"),
    Place("backup", backup_id="id"),
    Place("backup", complete=False),
    Place("archive"),
    DATADIR,
    Place("datadir", complete=False),
    Place("datadir", restored=True, backup_id="id"),
    COPY,
    replace(COPY, complete=False),
    replace(COPY, backup_id="another"),
)
CHANNELS: tuple[tuple[Channel, ...] | None, ...] = (
    None,
    (),
    (OURS,),
    (BROKEN,),
    (OTHER,),
    (OURS, OTHER),
    (BROKEN, OTHER),
    (replace(OTHER, source_server_id=1, executed="0-1-9"),),
)
DATA = (
    FREE,
    replace(FREE, running=False),
    FOUND,
    replace(FOUND, running=False),
    UNKNOWN,
    replace(UNKNOWN, running=True),
)
JOURNALS = (
    NO_JOURNAL,
    Journal(exists=True),
    *(
        Journal(True, source, phase, backup, 100, replaces=replaces, consent=consent)
        for source in (SOURCE, "10.0.0.7:3306")
        for phase in ("transfer", "place")
        for backup in ("", "id")
        for replaces in (False, True)
        for consent in (False, True)
    ),
)


@functools.lru_cache(maxsize=1)
def worlds() -> tuple[World, ...]:
    """Every combination of the small domains of facts."""
    return tuple(_worlds())


def _worlds() -> Iterator[World]:
    consents: tuple[dict[str, Any], ...] = ({}, {"rebuild": True}, {"rebuild_healthy": True})
    for place, channels, data, running, journal, consent in itertools.product(
        PLACES, CHANNELS, DATA, (False, True), JOURNALS, consents
    ):
        host = replace(HOST, place=place, channels=channels, data=data, running=running)
        # a job knows nothing of the data
        jobs = [("", "this"), ("listening", "this"), ("receiving", "this"), ("receiving", "older")]
        for job, code in jobs if data is FREE else jobs[:1]:
            yield World(PRIMARY, replace(host, job=job, job_code=code), journal, replace(REQUEST, **consent))


def test_every_state_of_the_world_has_one_plan_that_is_safe() -> None:
    steps: set[Step] = set()
    rules: set[str] = set()
    for world in worlds():
        made = decide(world.primary, world.host, world.journal, world.request)
        steps.add(made.step)
        rules.add(made.rule)
        if made.replaces:
            assert _may_replace(world, made), (world, made)
        if made.step is Step.PROVISION:
            assert made.consent or made.fresh or world.host.place.kind in ("absent", "empty"), (world, made)
            assert world.request.rebuild_healthy or not world.is_replica, world
        if made.step in (Step.KEEP, Step.REFUSE):
            assert made.before == made.after
        if made.step is Step.REFUSE:
            assert made.problems
            assert all(problem.code and problem.message and problem.remedy for problem in made.problems)
        reported = made.text(check_mode=True)
        assert reported.replace("Would ", "Will ", 1) == made.text(check_mode=False)
    assert steps == set(Step)
    assert {case[5] for case in CASES} | {
        "replica_by_another_name",
        "also_replicates_from_others",
        "data_unknown",
    } == rules


def _may_replace(world: World, made: Plan) -> bool:
    """Whether somebody has consented, or nothing is there, or nothing but the server's own was found."""
    host, journal = world.host, world.journal
    healthy = world.request.rebuild_healthy and world.is_replica
    consent = world.request.rebuild or healthy or (journal.source == SOURCE and journal.consent)
    nothing = host.place.kind in ("absent", "empty") or (host.place.kind == "datadir" and not host.place.complete)
    stopped = journal.source == SOURCE and not host.running and not host.data.running
    found_nothing = host.place.kind == "datadir" and (
        host.data.state == "none" or (stopped and host.data.state == "unknown")
    )
    assert made.consent <= consent
    return consent or nothing or (made.fresh and found_nothing)


def test_without_consent_data_that_were_found_are_never_replaced() -> None:
    for world in worlds():
        whole = world.host.place.kind not in ("absent", "empty") and world.host.place.complete
        if whole and world.host.data.state == "found" and not world.request.rebuild and not world.journal.consent:
            if world.request.rebuild_healthy and world.is_replica:
                continue
            made = decide(world.primary, world.host, world.journal, world.request)
            assert made.step in (Step.KEEP, Step.REFUSE, Step.CONTINUE, Step.FOLLOW), world
            assert not made.replaces


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_replica_that_is_kept_keeps_what_nobody_gives(rebuild: bool) -> None:
    channel = replace(OURS, name="main", settings={**SETTINGS, "source_user": "other", "source_ssl": True})
    made = plan(replace(RUNS, channels=(channel,)), request=replace(REQUEST, rebuild=rebuild, replication_user=""))
    assert (made.step, made.what) == (Step.KEEP, "keep the replica as it is")
    options = {**made.channel}
    place = {"channel": options.pop("channel"), "host": options.pop("source_host"), "port": options.pop("source_port")}
    assert place == {"channel": "main", "host": "10.0.0.1", "port": 3306}
    assert options == {"source_ssl": True, "source_ssl_verify": True}


def test_what_is_given_and_not_so_is_named() -> None:
    given = {"source_user": "new", "source_ssl": True, "source_ssl_ca": ""}
    made = plan(replace(RUNS, channels=(OURS,)), request=replace(REQUEST, settings=given))
    assert made.text(check_mode=True).startswith(
        "Would keep the replica and set anew, of its channel: source_user, source"
    )
    assert "source_ssl_ca" not in made.what


def test_a_stopped_replica_without_an_error_and_one_with_an_old_error_are_kept() -> None:
    for channel in (replace(OURS, state="stopped"), replace(OURS, last_error="an old one")):
        assert plan(replace(RUNS, channels=(channel,))).step is Step.KEEP


# --- identity ------------------------------------------------------------------------------------

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
MYSQL = Primary("db1", PrimaryServer(Family.MYSQL, (8, 4, 3), 1, server_uuid=UUID))
MYSQL_HOST = replace(RUNS, family=Family.MYSQL, version=(8, 4, 3))


def test_a_replica_that_knows_its_primary_by_another_name_is_kept_by_that_name() -> None:
    channel = replace(OURS, source_host="db1.internal", source_port=3307, source_uuid=UUID, settings=SETTINGS)
    made = plan(replace(MYSQL_HOST, channels=(channel,)), primary=MYSQL)
    assert made.step is Step.KEEP
    assert "which it knows as db1.internal:3307" in made.why
    assert (made.channel["source_host"], made.channel["source_port"]) == ("db1.internal", 3307)


def test_a_broken_channel_by_another_name_is_offered_another_address_before_a_new_copy() -> None:
    channel = replace(BROKEN, source_host="old", source_uuid=UUID)
    made = plan(replace(MYSQL_HOST, channels=(channel,)), primary=MYSQL)
    assert made.step is Step.REFUSE
    assert made.rule == "replication_broken"
    assert made.remedy.index("allow_repoint: true") < made.remedy.index("xtrabackup_replica_rebuild")


@pytest.mark.parametrize(
    ("executed", "server_id", "rule"),
    [
        ("0-1-90", 1, "replica_by_another_name"),
        ("0-1-100", 1, "replica_by_another_name"),
        ("0-1-101", 1, "replica_of_another"),
        ("0-1-90", 3, "replica_of_another"),
        ("", 1, "replica_of_another"),
    ],
)
def test_on_mariadb_the_same_server_id_and_gtid_are_a_likeness_only(executed: str, server_id: int, rule: str) -> None:
    channel = replace(OTHER, source_server_id=server_id, executed=executed)
    made = plan(replace(RUNS, channels=(channel,)))
    assert (made.step, made.rule) == (Step.REFUSE, rule)
    assert ("allow_repoint" in made.remedy) is (rule == "replica_by_another_name")
    assert ("xtrabackup_replica_rebuild" in made.remedy) is (rule == "replica_of_another")


# --- what goes with a plan -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "given", "expected"),
    [
        (Family.MARIADB, {}, {"source_ssl": False}),
        (Family.MARIADB, {"source_ssl": True}, {"source_ssl": True, "source_ssl_verify": True}),
        (Family.MARIADB, {"source_ssl_verify": True}, {"source_ssl": False}),
        (Family.MYSQL, {}, {"source_ssl": True, "source_ssl_verify": False, "get_source_public_key": False}),
        (
            Family.MYSQL,
            {"source_ssl_ca": "/ca"},
            {"source_ssl": True, "source_ssl_ca": "/ca", "source_ssl_verify": True, "get_source_public_key": False},
        ),
    ],
)
def test_a_new_channel_has_the_defaults_of_its_family(
    family: Family, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    primary = PRIMARY if family is Family.MARIADB else MYSQL
    version = (10, 11, 6) if family is Family.MARIADB else (8, 4, 3)
    made = plan(
        replace(HOST, family=family, version=version), request=replace(REQUEST, settings=given), primary=primary
    )
    place = {"channel": "", "source_host": "10.0.0.1", "source_port": 3306}
    assert dict(made.channel) == {**place, **expected}


@pytest.mark.parametrize(
    ("received", "now", "usable"),
    [
        (Received("/i", "backup", True, "id"), 200, True),
        (Received("/i", "backup", True, "id"), 100 + 43200, False),
        (Received("/i", "backup", False, "id"), 200, False),
        (Received("/i", "backup", True, "another"), 200, False),
        (Received("/i", "absent"), 200, False),
    ],
)
def test_a_backup_that_has_arrived_is_used_while_it_is_whole_ours_and_young(
    received: Received, now: int, usable: bool
) -> None:
    made = plan(
        replace(HOST, received=received), Journal(True, SOURCE, "transfer", "id", 100), replace(REQUEST, now=now)
    )
    assert (made.step, made.received) == (Step.PROVISION, usable)
    foreign = Journal(True, "10.0.0.7:3306", "transfer", "id", 100)
    assert not plan(replace(HOST, received=received), foreign, replace(REQUEST, now=now)).received


def test_a_job_that_goes_on_is_followed_whatever_else_there_is_and_one_that_waits_in_vain_is_not() -> None:
    for phase in ("receiving", "publishing", "applying redo", "moving", "starting the server"):
        made = plan(replace(RUNS, data=FOUND, job=phase), RECEIVING, primary=Primary("db1", None))
        assert (made.step, made.replaces, made.received, made.problems) == (Step.FOLLOW, False, False, ())
        assert made.changes
        assert phase in made.text(check_mode=True)
    for phase in ("starting", "listening"):
        assert plan(replace(HOST, job=phase), RECEIVING).step is Step.PROVISION


def test_a_job_of_another_version_is_not_followed_and_named_with_its_remedy() -> None:
    goes_on = replace(HOST, job="moving", job_id="replica-db2", job_pid=42, job_code="older")
    made = plan(goes_on, RECEIVING)
    assert [problem.code for problem in made.problems] == ["job_other_version"]
    assert "the job replica-db2 on db2 (process 42, moving) was started by another version" in made.problems[0].message
    assert "id: replica-db2, state: stopped" in made.problems[0].remedy
    assert plan(replace(goes_on, job_code="this"), RECEIVING).step is Step.FOLLOW
    # one that waits for a sender is replaced, unless that comes
    assert plan(replace(goes_on, job="listening"), RECEIVING).step is Step.PROVISION


def test_a_journal_beside_a_replica_that_is_kept_goes_since_its_consent_would_count_later() -> None:
    left = replace(PLACING, consent=True)
    kept = plan(replace(RUNS, channels=(OURS,)), left)
    assert (kept.step, kept.tidies, kept.before) == (Step.KEEP, True, kept.after)
    assert kept.as_dict()["tidies"]
    assert not plan(replace(RUNS, channels=(OURS,))).tidies
    # this is what it would be good for, if the host lost its channel
    assert plan(replace(RUNS, data=FOUND), left).replaces


def test_a_diff_has_role_source_data_directory_and_channel() -> None:
    made = plan(RUNS)
    assert made.before == {"role": "server", "source": "", "datadir": "/data (datadir)", "channel": ""}
    assert made.after == {
        "role": "replica",
        "source": SOURCE,
        "datadir": "/data (copy of db1, new)",
        "channel": "'': replicating",
    }


def test_all_problems_are_told_at_once_that_of_the_data_too() -> None:
    server = replace(PRIMARY.server, log_bin=False) if PRIMARY.server else None
    made = plan(replace(RUNS, data=FOUND, server_id=1), primary=Primary("db1", server))
    assert [problem.code for problem in made.problems] == ["binary_log_off", "server_id_taken", "data_found"]
    text = made.text(check_mode=False)
    assert text.startswith("Nothing was touched: ")
    assert all(problem.message in text and problem.remedy in text for problem in made.problems)


def test_what_a_new_replica_needs_is_not_asked_of_one_that_is_kept() -> None:
    request = replace(REQUEST, replication_user="", replication_password="")
    assert plan(replace(RUNS, channels=(OURS,)), request=request).step is Step.KEEP
    made = plan(HOST, request=request)
    assert [problem.message for problem in made.problems] == [
        "xtrabackup_replication_user is empty",
        "xtrabackup_replication_password is empty",
    ]


def test_files_outside_of_an_empty_data_directory_are_not_replaced_without_consent() -> None:
    host = replace(HOST, places=Places(outside=tuple(f"/logs/binlog.{number}" for number in range(7))))
    made = plan(host)
    assert (made.step, [problem.code for problem in made.problems]) == (Step.REFUSE, ["files_outside"])
    assert "/logs/binlog.4 and 2 more" in made.problems[0].message
    assert plan(host, request=rebuilding()).step is Step.PROVISION


def test_room_is_needed_until_the_copy_has_arrived_and_a_place_until_it_is_there() -> None:
    full = Places(incoming=Room("/in", 1, 0), staging=Room("/data", 2, 0), outside=("/logs/binlog.000001",))
    large = replace(PRIMARY, server=replace(SERVER, data_bytes=1))
    received = Received("/in", "backup", complete=True, backup_id="id")
    refused = plan(replace(HOST, places=full), primary=large)
    assert [problem.code for problem in refused.problems] == ["disk_full", "files_outside"]
    arrived = replace(HOST, places=full, received=received)
    assert plan(arrived, RECEIVING, replace(REQUEST, now=200), large).received
    unfit = replace(full, missing=("/logs",))
    assert plan(replace(arrived, places=unfit), RECEIVING, replace(REQUEST, now=200), large).rule == (
        "log_directory_missing"
    )
    assert plan(replace(HOST, place=COPY, data=UNKNOWN, places=unfit), PLACING, primary=large).step is Step.CONTINUE


def test_names_from_the_host_cannot_forge_a_line() -> None:
    data = replace(FOUND, databases=("crm\n\x1b[2Jok: [db2]",))
    made = plan(replace(RUNS, data=data))
    reported = f"{made.text(check_mode=False)}{made.as_dict()}"
    assert "crm\\n\\x1b[2Jok" in reported
    assert not {"\n", "\x1b"} & set(reported)


def test_a_plan_is_shown_without_a_password() -> None:
    secret = replace(REQUEST, replication_password="canary", backup_password="canary")
    assert "canary" not in f"{plan(HOST, request=secret)}{plan(HOST, request=secret).as_dict()}{secret}"


# --- the second look -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "data", "running", "free"),
    [
        (Place("absent"), FOUND, False, True),
        (Place("empty"), UNKNOWN, False, True),
        (DATADIR, FREE, True, True),
        (DATADIR, UNKNOWN, False, True),
        (DATADIR, replace(UNKNOWN, running=True), True, False),
        (DATADIR, FOUND, False, False),
        (Place("datadir", complete=False), FOUND, False, True),
        (Place("other"), UNKNOWN, False, False),
        (Place("backup"), UNKNOWN, False, False),
    ],
)
def test_before_a_fresh_server_is_replaced_it_must_still_be_one(
    place: Place, data: UserData, running: bool, free: bool
) -> None:
    problem = require_still_free(replace(HOST, place=place, data=data, running=running))
    assert (problem is None) is free
    if problem is not None:
        assert "data were put into /data" in problem.message
        assert "xtrabackup_replica_rebuild: true" in problem.remedy
