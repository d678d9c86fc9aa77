#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs the steps named as arguments (static, unit, sanity, integration, integration-quick; docs, galaxy, units, cores,
# provisionings, storms, aria, positions, fuzz, molecule), all of them even when one fails, and ends with one line for
# each. `make` has run setup.sh before and has put .venv into PATH.
set -uo pipefail

cd "$(dirname "$0")/../.." || exit
[ -x .venv/bin/pytest ] || { echo "run this through make" >&2; exit 2; }
export PATH=$PWD/.venv/bin:$PATH:/usr/sbin:/sbin
export ANSIBLE_COLLECTIONS_PATH=$PWD/.build/collections
unset PYTHONDONTWRITEBYTECODE  # what one program has compiled, the hundreds after it need not
collection=ansible_collections.innodb.xtrabackup
summary=()
failed=0

check() {
    local name=$1 begun=$SECONDS status=0
    shift
    printf '\n=== %s\n' "$name"
    "$@" || status=$?
    note "$name" "$status" $((SECONDS - begun))
}

note() {
    local verdict=passed
    [ "$2" -eq 0 ] || { verdict=FAILED; failed=$((failed + 1)); }
    summary+=("$(printf '%-19s %-7s %4d s' "$1" "$verdict" "$3")")
}

# Checks beside others: as many at a time as there are processors. `finish` waits for them, and shows what each has said,
# in the order in which they were begun.
outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT
begun=()
begin() {
    local name=$1 place=$outputs/${#begun[@]}
    shift
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    {
        SECONDS=0
        status=0
        "$@" || status=$?
        echo "$status $SECONDS" >"$place.ended"
    } >"$place" 2>&1 &
    begun+=("$name")
}

finish() {
    local number status seconds
    wait
    for number in "${!begun[@]}"; do
        printf '\n=== %s\n' "${begun[$number]}"
        cat "$outputs/$number"
        status=1 seconds=0
        read -r status seconds <"$outputs/$number.ended"
        note "${begun[$number]}" "$status" "$seconds"
    done
    begun=()
}

types() {
    mypy -p "$collection.plugins" -p "$collection.tests"
}

shell_scripts() {
    # the scripts by their first line, whatever they are called
    git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lZ -m1 -E '^#!/(bin/|usr/bin/env )(ba)?sh' | xargs -0 -r shellcheck
}

# Schema, markup and references of modules, roles and guides. What is said of other collections is believed.
docs_lint() {
    antsibull-docs lint-collection-docs --plugin-docs --check-extra-docs-refs --validate-collection-refs all .
}

# A run of pytest in which no test was executed has failed, whatever its status.
executed() {
    local name=$1
    shift
    pytest -n "${TEST_WORKERS:-2}" --dist loadgroup --durations=10 --junitxml=".build/junit-$name.xml" "$@" || return 1
    python - ".build/junit-$name.xml" <<'P'
import sys
import xml.etree.ElementTree as ElementTree

suites = ElementTree.parse(sys.argv[1]).getroot().iter("testsuite")
executed = sum(int(suite.get("tests", 0)) - int(suite.get("skipped", 0)) for suite in suites)
sys.exit(0 if executed else "no test was executed")
P
}

# Tests that wait, for servers or for connections, a third of the time: one more at a time than processors.
overlapped() {
    TEST_WORKERS=${TEST_WORKERS:-3} executed "$@"
}

fuzz() {
    python -m pip install -q --disable-pip-version-check -r requirements-fuzz.txt && python tests/fuzz/fuzz.py
}

for step in "$@"; do
    case $step in
        static)
            # the longest first
            begin "ansible-lint" ansible-lint --offline --strict --profile production
            begin "mypy" types
            begin "docs" docs_lint
            begin "fragments" antsibull-changelog lint
            begin "licences" reuse lint --quiet
            begin "yamllint" yamllint --strict .
            begin "shellcheck" shell_scripts
            begin "ruff" ruff check --quiet .
            begin "ruff format" ruff format --check --quiet .
            finish
            ;;
        unit) check "unit tests" overlapped unit --dist loadfile tests/unit tests/security ;;
        # it takes what the tests on servers leave of the processors
        sanity) begin "sanity" nice -n 19 tests/tools/sanity.sh ;;
        integration) check "server tests" overlapped servers tests/integration_servers ;;
        molecule) check "real hosts" tests/tools/molecule.sh ;;
        fuzz) check "fuzzing" fuzz ;;
        docs) check "documentation" tests/tools/docs.sh ;;
        units) check "ansible-test units" tests/tools/units.sh ;;
        cores) check "oldest, newest core" tests/tools/cores.sh ;;
        galaxy) check "Galaxy's importer" tests/tools/galaxy.sh ;;
        provisionings)
            export PROVISIONINGS=13
            check "prepared transactions" executed provisionings tests/integration_servers/test_mysql_provision.py
            ;;
        storms)
            export STORMS=10
            check "storms of DDL" executed storms tests/integration_servers/test_ddl_storm.py
            ;;
        aria)
            export ARIA_SOAK_SECONDS=3600
            check "soak of Aria" executed aria tests/integration_servers/test_aria.py
            ;;
        positions)
            export POSITIONS=20
            check "positions of busy replicas" executed positions \
                tests/integration_servers/test_mysql_replica_positions.py tests/integration_servers/test_safe_slave_backup.py
            ;;
        integration-quick) check "server tests" overlapped servers tests/integration_servers -m "not slow" ;;
        *) echo "unknown step: $step" >&2; exit 2 ;;
    esac
done
finish

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
echo "$((${#summary[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
