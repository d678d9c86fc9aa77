#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Some of every kind of test with the oldest ansible-core that is supported and with the newest there is, each in a virtual
# environment of its own: the oldest with the Python of .venv, the newest with the newest Python that is installed.
set -euo pipefail

cd "$(dirname "$0")/../.."
export ANSIBLE_COLLECTIONS_PATH=$PWD/.build/collections
oldest=$(sed -n 's/^ansible-core>=//p' requirements.txt)
mapfile -t test_tools < <(sed -n -E 's/^((pytest|hypothesis)[^ #]*).*/\1/p' requirements-test.txt)

newest_python() {
    local version candidate
    for version in 3.14 3.13 3.12 3.11; do
        for candidate in "$HOME/.pyenv/versions/$version".*/bin/python "/usr/bin/python$version" "python$version"; do
            "$candidate" -c 'import os, sys, ensurepip; print(os.path.realpath(sys.executable))' 2>/dev/null && return
        done
    done
    readlink -f .venv/bin/python
}

# name, Python, requirement
prepare() {
    local venv=.cache/core-$1 wanted
    wanted="$3 $2 $(cat requirements-hosts.txt requirements-test.txt)"
    [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ] || return 0
    rm -rf "$venv"
    "$2" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "$3" -r requirements-hosts.txt "${test_tools[@]}" \
        2>.build/pip.log || { tail -n 20 .build/pip.log >&2; return 1; }
    echo "$wanted" >"$venv/wanted"
}

smoke() {
    local venv=.cache/core-$1 servers=tests/integration_servers
    PATH=$PWD/$venv/bin:$PATH "$venv/bin/python" -m pytest -q tests/unit/plugins/modules tests/unit/docs \
        $servers/test_module_backup.py \
        "$servers/test_playbooks.py::test_an_empty_host_becomes_a_replica_under_load_and_a_second_run_changes_nothing[mariadb]" \
        "$servers/test_playbooks.py::test_a_backup_is_taken_once_a_day_and_restored_once[mariadb]" \
        $servers/test_guides.py::test_every_task_of_the_other_guides_works_as_it_is_written \
        $servers/test_gitops.py::test_what_cannot_be_carried_out_is_refused_in_review_before_anything_is_touched
}

failed=0
for what in "oldest $(readlink -f .venv/bin/python) ansible-core~=$oldest.0" "newest $(newest_python) ansible-core>=$oldest"; do
    read -r name python requirement <<<"$what"
    prepare "$name" "$python" "$requirement"
    printf '\ncores: %s\n' "$(".cache/core-$name/bin/ansible" --version | sed -n '1p; s/ *python version = \([^ ]*\).*/with Python \1/p' | xargs)"
    smoke "$name" || { failed=1; echo "cores: failed with the $name" >&2; }
done
exit "$failed"
