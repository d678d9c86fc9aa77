# shellcheck shell=bash disable=SC2034 # those who source it read what is set here
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What all programs of the rig share: where things are, and how it fails. To be sourced.

export PATH=$PATH:/usr/sbin:/sbin
rig_programs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig_project=$(cd "$rig_programs/../.." && pwd)
rig_dir=$rig_project/.cache/rig      # bases, packages, keys, hosts
rig_hosts=$rig_dir/hosts             # one directory a host: address, suite, its files, console.log
rig_network=10.213                   # a rig's own number is the third part: 10.213.0.0/24 is rig 0
rig_user=deploy                      # who logs in on the hosts, and may become root

fail() {
    printf 'rig: %s\n' "$*" >&2
    exit 1
}

# The directory of cgroup v2, also where the machine has it beside v1.
cgroup_root() {
    if [ -d /sys/fs/cgroup/unified ]; then
        echo /sys/fs/cgroup/unified
    else
        echo /sys/fs/cgroup
    fi
}

# until_true SECONDS COMMAND...: whether it came true in time.
until_true() {
    local limit=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        sleep 0.05
    done
}
