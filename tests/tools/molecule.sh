#!/usr/bin/env bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# molecule.sh [SCENARIO...]
#
# Runs the Molecule scenarios, all of them or those that are named, from create to destroy on hosts of the rig
# (tests/rig), one after another and all of them even when one fails; ends with one line for each. No host is left
# behind, whatever happens.
set -euo pipefail

cd "$(dirname "$0")/../.."
if [ "$(id -u)" -ne 0 ]; then # namespaces, mounts and bridges are root's
    exec sudo --preserve-env=RIG_ENGINE,RIG_ENGINE_OPTIONS,RIG_MIRROR "$PWD/tests/tools/molecule.sh" "$@"
fi
[ -x .venv/bin/molecule ] || { echo "run this through make" >&2; exit 2; }
export PATH=$PWD/.venv/bin:$PATH:/usr/sbin:/sbin
export ANSIBLE_COLLECTIONS_PATH=$PWD/.build/collections
export NO_COLOR=1
tests/tools/setup.sh tests/rig/packages-debian.txt

scenarios=("$@")
if [ "${#scenarios[@]}" -eq 0 ]; then
    for file in extensions/molecule/*/molecule.yml; do scenarios+=("$(basename "$(dirname "$file")")"); done
fi

rig=tests/rig/rig
[ -z "${RIG_ENGINE:-}" ] || rig=tests/rig/containers
trap '"$rig" down-all' EXIT
trap 'exit 130' INT TERM
"$rig" down-all # of a run that was killed
summary=() failed=0 log=.build/molecule.log
for scenario in "${scenarios[@]}"; do
    begun=$SECONDS verdict=passed
    printf '\n=== scenario %s\n' "$scenario"
    molecule reset --scenario-name "$scenario" >/dev/null 2>&1
    molecule test --scenario-name "$scenario" 2>&1 | tee "$log" || verdict=FAILED
    # a playbook that is not there is no more than a warning to molecule
    ! grep -q ' missing=[1-9]' "$log" || verdict=FAILED
    [ "$verdict" = passed ] || failed=$((failed + 1))
    summary+=("$(printf '%-18s %-7s %4d s' "$scenario" "$verdict" $((SECONDS - begun)))")
done

printf '\n=== scenarios\n'
printf '%s\n' "${summary[@]}"
[ "$failed" -eq 0 ]
