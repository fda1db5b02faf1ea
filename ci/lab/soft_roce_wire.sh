#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# soft_roce_wire, in a machine of the lab: two RDMA devices, rxe_left and rxe_right, at the ends of
# a wire within the machine that packets really take; what Soft-RoCE sends to its own device never
# reaches a network.
#
#   rxe_left, 10.78.0.1 on                                                 on 10.78.0.2, rxe_right
#           left ------ left_middle   (bridge `middle`)   right_middle ------ right
#
# The MTU is 9000 everywhere. `ip link set left down` takes a port down; `ip link set right_middle
# nomaster` cuts the wire where nobody sees it but by silence, and `… master middle` mends it;
# `ip link set right_middle mtu 1500` drops large packets to the right, as a switch does that was
# not told of them (docs/lab.md says why not the end next to the sender); `tc qdisc add dev
# right_middle root netem loss 5%` loses some of those that go to the right.
# `soft_roce_wire routes` brings back what the kernel forgets of an end that was down,
# `soft_roce_wire down` takes all of it away. In scripts, that `ip` is /usr/bin/ip.
set -eu
# The shell's own `ip` knows no bridges and no types of neighbours.
ip=/usr/bin/ip

routes() {
    $ip route replace 10.78.0.2/32 dev left src 10.78.0.1 table 101
    $ip route replace 10.78.0.1/32 dev right src 10.78.0.2 table 102
    # Who is where, so that no answer of ARP is needed while the wire is cut and mended.
    $ip neighbour replace 10.78.0.2 dev left lladdr "$(cat /sys/class/net/right/address)" \
        nud permanent
    $ip neighbour replace 10.78.0.1 dev right lladdr "$(cat /sys/class/net/left/address)" \
        nud permanent
}
if [ "${1:-up}" = routes ]; then
    routes
    exit 0
fi

for end in left right; do
    rdma link delete rxe_$end 2>/dev/null || true
    $ip link delete dev $end 2>/dev/null || true
    while $ip rule delete iif $end lookup local 2>/dev/null; do :; done
done
$ip link delete dev middle 2>/dev/null || true
$ip rule delete from 10.78.0.1 to 10.78.0.2 2>/dev/null || true
$ip rule delete from 10.78.0.2 to 10.78.0.1 2>/dev/null || true
[ "${1:-up}" = up ] || exit 0

$ip link add name middle mtu 9000 type bridge stp_state 0 forward_delay 0
for end in left right; do
    $ip link add name $end mtu 9000 type veth peer name ${end}_middle mtu 9000
    # A packet comes from the other end, whose address is this machine's own.
    echo 1 >/proc/sys/net/ipv4/conf/$end/accept_local
    echo 0 >/proc/sys/net/ipv4/conf/$end/rp_filter
    $ip link set dev ${end}_middle master middle up
done
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
$ip link set dev middle up
$ip address add 10.78.0.1/24 dev left
$ip address add 10.78.0.2/24 dev right
$ip link set dev left up
$ip link set dev right up
# What comes in by the wire is for this machine; what goes from one end to the other takes the wire
# and not the table of local addresses, which would have it stay within.
$ip rule add priority 1 iif left lookup local
$ip rule add priority 1 iif right lookup local
routes
$ip rule add priority 2 from 10.78.0.1 to 10.78.0.2 lookup 101
$ip rule add priority 2 from 10.78.0.2 to 10.78.0.1 lookup 102
if $ip rule | grep -q '^0:'; then
    $ip rule add priority 3 lookup local
    $ip rule delete priority 0 lookup local
fi
rdma link add rxe_left type rxe netdev left
rdma link add rxe_right type rxe netdev right
