#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-test units with every Python from 3.9 on that is installed here, in virtual environments of ansible-test's own.
# What runs on managed hosts is tested with all of them, the rest with those that a controller may have.
# Arguments go to ansible-test (`tests/tools/units.sh tests/unit/plugins/modules/test_xbstream.py`).
set -euo pipefail

cd "$(dirname "$0")/../.."
root=$PWD
# shellcheck source=tests/tools/ansible_test.sh
. tests/tools/ansible_test.sh

place=.build/units
.venv/bin/python tests/tools/ansible_test_pip.py
interpreters=$(interpreter_directories)
export PATH=$root/.venv/bin:$interpreters:$PATH
unset ANSIBLE_COLLECTIONS_PATH PYTHONPATH
copy_collection "$place"
cd "$place/ansible_collections/innodb/xtrabackup"

ran=()
failed=()
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    # of several of a kind the first in PATH is taken, as ansible-test does
    "python$version" -c '' 2>/dev/null || continue
    ansible-test units --help | grep -q "python version:.*$version" || continue
    log=$root/$place/$version.log
    if ansible-test units --color no --requirements --num-workers "${TEST_WORKERS:-2}" \
        --target-python "venv/$version@$(command -v "python$version")" "$@" >"$log" 2>&1; then
        # ansible-test runs pytest several times: modules, what they import, and what runs on the controller
        verdict=$(sed -n -E 's/^=* ?([0-9]+) passed.*/\1/p' "$log" | awk '{ sum += $1 } END { if (sum) print sum " passed" }')
        # a run in which no test was executed has failed
        [ -n "$verdict" ] || { verdict='no test was run'; failed+=("$version"); }
    else
        verdict=FAILED
        failed+=("$version")
        grep -vE '^(Collecting|Downloading|Installing|WARNING: Location|Successfully|  )' "$log" | tail -n 60
    fi
    ran+=("$version")
    printf 'units: Python %s: %s\n' "$("python$version" -c 'import platform; print(platform.python_version())')" "$verdict"
done
[ "${#ran[@]}" -gt 0 ] || { echo "units: no Python was found" >&2; exit 1; }
[ "${#failed[@]}" -eq 0 ] || { echo "units: failed with Python ${failed[*]}" >&2; exit 1; }
