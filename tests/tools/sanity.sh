#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-test sanity, without containers: for the controller's Python and every Python of managed hosts
# that is installed here. Arguments go to ansible-test (`tests/tools/sanity.sh --test validate-modules`).
set -euo pipefail

cd "$(dirname "$0")/../.."
root=$PWD
# shellcheck source=tests/tools/ansible_test.sh
. tests/tools/ansible_test.sh

run() {
    local place=$1
    shift
    copy_collection "$place"
    (cd "$place/ansible_collections/innodb/xtrabackup" && ansible-test sanity --color no "$@") >"$place/log" 2>&1
}

.venv/bin/python tests/tools/ansible_test_pip.py
interpreters=$(interpreter_directories)
export PATH=$root/.venv/bin:$interpreters:$PATH
# The copy must be judged by itself: nothing of the surroundings may answer for it.
unset ANSIBLE_COLLECTIONS_PATH PYTHONPATH

places=()
jobs=()
start() {
    mkdir -p "$1"
    places+=("$1")
    run "$@" &
    jobs+=($!)
}
if [ $# -gt 0 ]; then
    start .build/sanity/selected "$@"
else
    # pylint takes as long as all the others together
    start .build/sanity/pylint --test pylint
    start .build/sanity/others --skip-test pylint
fi

noise='^(Creating|Installing|Collecting|Downloading|Looking in|Processing|Successfully installed|Using cached) |^ |^WARNING: (Location|Using locale|All targets skipped)'
failed=0
for index in "${!jobs[@]}"; do
    wait "${jobs[$index]}" || failed=1
    grep -vE "$noise" "${places[$index]}/log" || true
done
ran=$(cat "${places[@]/%//log}" | grep -cE '^(Running sanity test)' || true)
if [ "$ran" -eq 0 ]; then
    echo "sanity: no test was run" >&2
    exit 1
fi
if [ "$failed" -ne 0 ]; then
    echo "sanity: failed" >&2
    exit 1
fi
echo "sanity: $ran runs passed"
