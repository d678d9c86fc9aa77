# shellcheck shell=bash
# Copyright (c) 2026 the innodb.xtrabackup authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Bad networks. To be sourced by a program that has, of a host NAME: known, address, octet, cable (this machine's end of its
# cable) and in_network (a command in its network namespace).

# Each host drops what arrives from the other, so the sender sees no more than it would see of a bad line.
lose() {
    local percent=$3 here there which=''
    [ "$percent" -eq 100 ] || which="numgen random mod 100 < $percent"
    for here in "$1" "$2"; do
        known "$here"
        [ "$here" = "$1" ] && there=$2 || there=$1
        mend "$here" "$there"
        in_network "$here" nft -f - <<N
table inet $(table "$there") {
    chain incoming {
        type filter hook input priority 0;
        ip saddr $(address "$there") $which drop
    }
}
N
    done
}

table() { echo "from_$(octet "$1")"; }
mend() { in_network "$1" nft delete table inet "$(table "$2")" 2>/dev/null || true; }

unlose() {
    known "$1" && known "$2"
    mend "$1" "$2"
    mend "$2" "$1"
}

# Both ends of the cable: what is sent from here is what the host receives.
shape() {
    known "$1"
    tc qdisc replace dev "$(cable "$1")" root tbf rate "$2" burst 32kbit latency 200ms
    in_network "$1" tc qdisc replace dev eth0 root tbf rate "$2" burst 32kbit latency 200ms
}

unshape() {
    known "$1"
    tc qdisc delete dev "$(cable "$1")" root 2>/dev/null || true
    in_network "$1" tc qdisc delete dev eth0 root 2>/dev/null || true
}
