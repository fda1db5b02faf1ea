#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""RDMA over Soft-RoCE in a machine of the lab, which is booted once for all of this: a node whose
clients put and get by it, byte for byte, while links, devices and processes go and come; verbs/ by
itself; `memkv doctor`; and the lab's own wire. With --long also a node and clients on two machines.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

from lab_node import Drive, Network, machine
from lab.keeper import die_with_parent
from lab_rdma import Node, client
from node import BUILD, SOURCE

LAB = os.path.join(SOURCE, "ci/lab/run")
LAB_S_MAX = 400
SUITE = os.path.join(BUILD, "tests/integration/verbs_suite")
SUITE_S_MAX = 600
STATUSES = os.path.join(SOURCE, "tests/fixtures/verbs_statuses.tsv")
LONG = os.environ.get("MKV_LONG") == "1"
MACHINE_S_MAX = 20000 if LONG else 1700
# How often faults happen, on the same devices: those of a node, of verbs/, of two machines.
NODE_TIMES = 50 if LONG else 3
# Of those that others come close to.
FEW_TIMES = 50 if LONG else 1
VERBS_TIMES = 50 if LONG else 3
ACROSS_TIMES = 10
# What one command of a client may take: more than its own time (client()) on a loaded host.
COMMAND_S_MAX = 240
# The last two are more than one block.
SIZES = (1, 65536, 65537, (1 << 20) + 1, 5000003)
LAB_MACHINE = None
ACROSS_S_MAX = 3000
ACROSS_SERVER = "10.77.0.1:9900"
# On an address that is not loopback nobody else is served without a key.
ACROSS_CONFIG = (f"network: {{address: '{ACROSS_SERVER}', admin_address: '127.0.0.1:9901', "
                 "auth_key: /root/key}\n")

# The one answers, the other asks, and asks again until the one is up.
ACROSS = """
set -e
run() {
    if [ "$MACHINE" = 1 ]; then timeout 100 "$@"; return; fi
    step=0
    until timeout 100 "$@" "$OTHER"; do
        step=$((step + 1)); [ $step -lt 100 ] || exit 1; sleep 0.5
    done
}
run ib_send_lat -d rxe0 -x 1 -F -n 100
run ib_write_bw -d rxe0 -x 1 -F -n 5 -s 1048576
"""
# ib_write_bw from one end to the other; its last line but one has the figures.
OVER_THE_WIRE = """
timeout 100 ib_write_bw -d rxe_right -x 1 -n 5 -s 1048576 -F >/tmp/said 2>&1 &
server=$!
step=0
until grep -q ':4853 ' /proc/net/tcp /proc/net/tcp6; do # 18515, perftest's port
    step=$((step + 1)); [ $step -lt 300 ] || {{ cat /tmp/said; exit 1; }}; sleep 0.2
done
timeout {seconds} ib_write_bw -d rxe_left -x 1 -n 5 -s 1048576 -F 127.0.0.1
status=$?
kill $server 2>/dev/null
wait
exit $status
"""


def setUpModule():  # pylint: disable=invalid-name
    global LAB_MACHINE  # pylint: disable=global-statement
    programs = [SUITE] if os.path.exists(SUITE) else []
    LAB_MACHINE = unittest.enterModuleContext(
        machine([Drive("a", "1GiB")], programs, network="user", rdma=True, seconds=MACHINE_S_MAX))
    LAB_MACHINE.boot()


def wire():
    LAB_MACHINE.sh("soft_roce_wire")


def statuses():
    """What may be said to a fault: {(fault, side): the possible ones of each column}."""
    with open(STATUSES, encoding="ascii") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return {(row[0], row[1]): [column.split("|") for column in row[2:]] for row in rows}


class ServerTest(unittest.TestCase):
    """Nodes that begin and end, and what they say."""

    @classmethod
    def setUpClass(cls):
        cls.machine = LAB_MACHINE
        wire()

    def node(self, folder, extra):
        node = Node(self.machine, folder, extra)
        self.addCleanup(node.end)
        return node

    def test_require__no_such_device__is_refused_with_a_remedy(self):
        node = self.node("refused", "rdma: {mode: require, device: rxe9}\n")
        done = self.machine.sh(f"memkv start --config {node.folder}/memkv.yaml", seconds=100,
                               check=False)
        self.assertEqual(done.status, 69, done.said)
        self.assertIn("rxe9", done.said)
        self.assertIn("rdma.mode: auto", done.said)

    def test_off__no_port_is_opened(self):
        node = self.node("off", "rdma: {mode: off}\n").start()
        self.assertNotIn("RDMA", node.log())
        self.assertFalse(json.loads(node.http("/v1/health")[1])["rdma_active"])
        for name in ("active", "configured"):
            self.assertEqual(node.sample(f"memkv_rdma_{name}"), 0)
        node.stop()

    def test_devices__go_down_and_come_back__are_told_of(self):
        node = self.node("ports", "rdma: {device: rxe_left}\n").start()
        node.until_rdma(True)
        self.assertRegex(node.log(), r"RDMA: rxe_left port 1 is up, RoCE v2 at 10\.78\.0\.1, GID")
        self.assertEqual(node.health(), "healthy")
        self.assertEqual(node.sample("memkv_rdma_configured"), 1)
        self.assertEqual(node.transitions(), (0, 0))  # to be there at the start is none

        for time in range(FEW_TIMES):
            self.machine.sh("ip link set left down")
            node.until_rdma(False)
            node.until_transitions(time + 1, time)
            self.assertEqual(node.health(), "degraded")
            self.machine.sh("ip link set left up")
            node.until_rdma(True)
            node.until_transitions(time + 1, time + 1)
            self.assertEqual(node.health(), "healthy")

        self.machine.sh("rdma link delete rxe_left")
        node.until_rdma(False)
        node.until_said("failed or was removed")
        self.assertEqual(node.sample("memkv_rdma_configured"), 1)
        self.machine.sh("rdma link add rxe_left type rxe netdev left")
        node.until_rdma(True)
        node.until_transitions(FEW_TIMES + 1, FEW_TIMES + 1)
        self.assertEqual(node.health(), "healthy")
        node.stop()


class ClientTest(unittest.TestCase):
    """One node for all of these, its clients, and what comes between them."""

    @classmethod
    def setUpClass(cls):
        cls.machine = LAB_MACHINE
        wire()
        cls.node = Node(cls.machine, "clients").start()
        cls.addClassCleanup(cls.node.end)
        cls.node.until_rdma(True)

    def test_put_and_get__every_size__the_same_bytes(self):
        for transport, sizes in (("rdma", SIZES), ("auto", SIZES[-1:])):
            before = self.node.moved()
            transfers = self.transfers()
            connects = self.node.sample("memkv_connect_total")
            for size in sizes:
                key = f"{transport}-{size}"
                self.machine.sh(f"""
                    set -e
                    head -c {size} /dev/urandom >/tmp/in
                    {client(transport)} memkv put {key} /tmp/in
                    {client(transport)} memkv get {key} /tmp/out
                    cmp /tmp/in /tmp/out
                    {client("tcp")} memkv get {key} /tmp/out
                    cmp /tmp/in /tmp/out""", seconds=200)
            after = self.node.moved()
            self.assertEqual([after[0] - before[0], after[1] - before[1]],
                             [sum(sizes), sum(sizes)], self.node.log())
            # Each MiB by one READ or WRITE, but for puts that go inline.
            done = self.transfers()
            self.assertEqual(
                [done[0] - transfers[0], done[1] - transfers[1]],
                [sum(-(-size // 1048576) for size in sizes if size > 1),
                 sum(-(-size // 1048576) for size in sizes)])
            # One lane of each command; the gets by tcp ask for none.
            self.assertEqual(self.node.sample("memkv_connect_total") - connects, 2 * len(sizes))

    def transfers(self):
        """READs and WRITEs so far."""
        return [self.node.sample(f"memkv_rdma_{kind}_latency_us_count")
                for kind in ("read", "write")]

    def test_batches_and_prefixes__of_several_threads__are_what_they_have_to_be(self):
        with self.node.loaded("busy", "rdma") as sums:
            self.node.until_moves("rdma")
            # A thread, a lane.
            for name in ("rdma_connections_active", 'connections_active{fabric="rdma"}'):
                self.node.until_sample("lanes", f"memkv_{name}", "v == 2")
            for kind in ("read", "write"):
                self.node.until_sample(kind, f"memkv_rdma_{kind}_latency_us_count", "v > 20")
        self.assertGreater(sums["puts"], 0)
        self.assertGreater(sums["gets"], 0)
        for transport in ("rdma", "tcp"):
            sums = self.node.verify("busy", transport)
            self.assertGreater(sums["gets"], 0)
            self.assertGreater(sums["lookups"], 0)
        self.assertEqual(self.node.failures("retry_exceeded"), 0)

    # ---- faults ---------------------------------------------------------------------------------

    def assert_kept(self, sums):
        """All that was acknowledged is there, byte for byte."""
        self.assertEqual((sums["broken_promises"], sums["missing"]), (0, 0), sums)
        self.assertGreater(sums["gets"], 0)

    def faulted(self, tenant, fault, repair, check):
        """Clients go on over TCP, and come back to RDMA when it is mended. What it has to have
        moved check says, which yields before it."""
        for _ in range(NODE_TIMES):
            checked = check()
            next(checked)
            connects = self.node.sample("memkv_connect_total")
            recoveries = self.node.sample("memkv_rdma_recoveries_total")
            with self.node.loaded(tenant) as sums:
                try:
                    self.node.until_lanes()
                    self.machine.sh(fault)
                    self.node.until_moves("tcp")
                finally:
                    self.machine.sh(repair)
                self.node.until_sample("back", "memkv_rdma_recoveries_total",
                                       f"v > {recoveries}")
                self.node.until_moves("rdma")
            self.assert_kept(sums)
            self.assertGreater(self.node.sample("memkv_connect_total"), connects)
            next(checked, None)
        self.node.verify(tenant)

    def told(self, status):
        """The node sees this of its port: it counts its lanes, and that RDMA was lost and came
        back."""
        failures, transitions = self.node.failures(status), self.node.transitions()
        yield
        self.assertGreater(self.node.failures(status), failures)
        self.node.until_transitions(*(count + 1 for count in transitions))

    def silent(self):
        """The side that waits for the other's acknowledgement gives up, and the other one hears of
        it; so the client, which tells the server why it comes over TCP. The port stays up."""
        def seen():
            return (self.node.failures("retry_exceeded") +
                    self.node.fallbacks("retry_exceeded"))
        before, fallbacks = seen(), self.node.total("memkv_rdma_fallbacks_total")
        transitions = self.node.transitions()
        yield
        self.assertGreater(seen(), before)
        self.assertGreater(self.node.total("memkv_rdma_fallbacks_total"), fallbacks)
        self.assertEqual(self.node.transitions(), transitions)

    def test_fault__the_link_goes_down__clients_go_on_and_come_back(self):
        # As a cable that is pulled out; the address and its routes stay.
        self.faulted("down", "ip link set left_middle down", "ip link set left_middle up",
                     lambda: self.told("port_down"))

    def test_fault__the_wire_is_cut__clients_go_on_and_come_back(self):
        self.faulted("cut", "/usr/bin/ip link set right_middle nomaster",
                     "/usr/bin/ip link set right_middle master middle", self.silent)

    def test_fault__the_device_is_deleted__clients_go_on_and_come_back(self):
        self.faulted("deleted", "rdma link delete rxe_left",
                     "rdma link add rxe_left type rxe netdev left", lambda: self.told("device"))

    def retried(self):
        """How often the kernel's Soft-RoCE has sent again from the node's port."""
        return int(self.machine.sh("cat /sys/class/infiniband/rxe_left/ports/1/hw_counters/"
                                   "completer_retry_err").said)

    def test_fault__clients_come_while_the_link_is_down__go_over_when_it_is_up(self):
        came = 'memkv_rdma_fallbacks_total{reason="no_device"}'
        for _ in range(FEW_TIMES):
            before = self.node.sample(came)
            recoveries = self.node.sample("memkv_rdma_recoveries_total")
            try:
                self.machine.sh("ip link set left_middle down")
                self.node.until_rdma(False)
                with self.node.loaded("early") as sums:
                    self.node.until_sample("the fallback", came, f"v > {before}")
                    self.node.until_moves("tcp")
                    self.machine.sh("ip link set left_middle up")
                    self.node.until_sample("gone over", "memkv_rdma_recoveries_total",
                                           f"v > {recoveries}")
                    self.node.until_moves("rdma")
            finally:
                self.machine.sh("ip link set left_middle up")
            self.assert_kept(sums)
        self.node.verify("early")

    def test_fault__packets_are_lost__every_byte_comes_all_the_same(self):
        before = self.retried()
        for _ in range(NODE_TIMES):
            with self.node.loaded("lossy", "rdma") as sums:
                self.node.until_lanes()
                try:
                    self.machine.sh("/usr/bin/tc qdisc add dev right_middle root netem loss 2%")
                    for _ in range(3):
                        self.node.until_moves("rdma")
                    said = self.machine.sh("/usr/bin/tc -s qdisc show dev right_middle").said
                finally:
                    self.machine.sh("/usr/bin/tc qdisc delete dev right_middle root")
            self.assertRegex(said, r"dropped [1-9]")
            self.assert_kept(sums)
        self.node.until_no_lanes()
        retried = self.retried()
        self.assertGreater(retried, before)
        self.node.until_sample("packets that were lost", "memkv_rdma_port_troubles_total"
                               '{port="rxe_left/1",kind="retried"}', f"v == {retried}")
        self.node.verify("lossy")

    def test_fault__clients_are_killed__the_node_lets_go_of_them(self):
        for _ in range(NODE_TIMES):
            with self.node.loaded("killed", "rdma") as sums:
                self.node.until_lanes()
                self.node.until_moves("rdma")
                self.machine.sh("killall -9 load_client")
                self.node.until_no_lanes()
            self.assertEqual(sums, {"status": 137})
            self.node.verify("killed")

    def test_fault__the_node_is_killed__clients_come_back(self):
        for _ in range(NODE_TIMES):
            with self.node.loaded("alone") as sums:
                self.node.until_lanes()
                self.node.until_moves("rdma")
                self.node.kill()
                self.node.start()
                self.node.until_moves("rdma")
            self.assert_kept(sums)
        self.node.verify("alone")

    def test_fault__only_small_packets_pass__is_told_with_a_remedy_and_goes_over_tcp(self):
        self.machine.sh(f"echo here | {client('tcp')} memkv put mtu -")
        # At the far end of the client's way: Soft-RoCE may send for ever, within one call, what the
        # end next to it drops.
        narrow = "/usr/bin/ip link set left_middle mtu"
        try:
            self.machine.sh(f"{narrow} 1500")
            done = self.machine.sh(f"{client('rdma')} memkv get mtu", seconds=COMMAND_S_MAX,
                                   check=False)
            self.assertEqual(done.status, 3, done.said)
            self.assertIn("transport auto or tcp", done.said)
            self.assertIn("rdma.mtu to 1024", done.said)
            for _ in range(NODE_TIMES):
                fallbacks = self.node.fallbacks("probe")
                self.machine.sh(f"{narrow} 1500")
                done = self.machine.sh(f"{client('auto')} memkv get mtu",
                                       seconds=COMMAND_S_MAX)
                self.assertRegex(done.said, "is reached over TCP, and RDMA is tried again: .*MTU")
                self.assertIn("here", done.said.splitlines())
                self.node.until_sample("why it came over TCP",
                                       'memkv_rdma_fallbacks_total{reason="probe"}',
                                       f"v == {fallbacks + 1}")
                self.machine.sh(f"{narrow} 9000")
                done = self.machine.sh(f"{client('rdma')} memkv get mtu",
                                       seconds=COMMAND_S_MAX)
                self.assertEqual(done.said, "here\n")
        finally:
            self.machine.sh(f"{narrow} 9000")

    def test_fault__only_small_packets_come_back__the_node_says_so_and_serves_over_tcp(self):
        self.machine.sh(f"echo here | {client('tcp')} memkv put back -")
        # The client's probe arrives, and the node's answer does not: its packets have 4096 bytes
        # and their headers, 0x102c in the length of IP.
        root = "/usr/bin/tc qdisc {} dev right_middle root handle 1: prio"
        narrow = ("/usr/bin/tc filter add dev right_middle parent 1: protocol ip "
                  "u32 match u16 0x1000 0xf000 at 2 action drop")
        for _ in range(FEW_TIMES):
            failures = self.node.failures("probe")
            errors = self.node.sample("memkv_rdma_errors_total")
            try:
                self.machine.sh(f"set -e; {root.format('add')}; {narrow}")
                done = self.machine.sh(f"{client('auto')} memkv get back", seconds=COMMAND_S_MAX)
            finally:
                self.machine.sh(root.format("delete"))
            self.assertIn("is reached over TCP, and RDMA is tried again", done.said)
            self.assertIn("here", done.said.splitlines())
            self.node.until_sample("the probe", 'memkv_rdma_failures_total{status="probe"}',
                                   f"v == {failures + 1}")
            self.node.until_sample("its sends", "memkv_rdma_errors_total", f"v > {errors}")
            done = self.machine.sh(f"{client('rdma')} memkv get back", seconds=COMMAND_S_MAX)
            self.assertEqual(done.said, "here\n")
        self.node.until_said("broke: probe: ")

    def test_zz_end__the_node_is_healthy_and_stops(self):
        self.assertEqual(self.node.health(), "healthy")
        self.node.stop()


@unittest.skipUnless(os.path.exists(SUITE), "this build is without RDMA (libibverbs-dev)")
class VerbsTest(unittest.TestCase):
    """verbs/ over the two devices."""

    @classmethod
    def setUpClass(cls):
        cls.machine = LAB_MACHINE
        cls.statuses = statuses()
        cls.seen = set()
        cls.wire_is_whole = False

    def suite(self, name, times=1):
        if not self.wire_is_whole:
            wire()
        type(self).wire_is_whole = False
        seconds = SUITE_S_MAX * (10 if times > 10 else 1)
        done = self.machine.sh(f"timeout {seconds - 5} verbs_suite {name} {times}", seconds=seconds,
                               check=False)
        self.assertEqual(done.status, 0, done.said)
        self.assertIn(f"passed {name} {times} times", done.said)
        for line in done.said.splitlines():
            if line.startswith("row\t"):
                fault, side, *columns = line.split("\t")[1:]
                possible = self.statuses[fault, side]
                self.assertEqual(len(columns), len(possible))
                for column, texts in zip(columns, possible):
                    self.assertIn(column, texts, line)
                self.seen.add((fault, side))
        type(self).wire_is_whole = True

    def test_open__devices_and_figures__chosen_or_refused_by_name(self):
        self.suite("open")

    def test_create__more_than_there_is_room_for__refused_by_name(self):
        self.suite("full")

    def test_stream__both_ways__every_byte_comes_once_in_order(self):
        self.suite("stream")

    def test_transfers__one_byte_to_1_mib__every_byte_and_none_beyond(self):
        self.suite("transfers")

    def test_write__a_message_behind_it__the_bytes_are_there_first(self):
        self.suite("order")

    def test_stream__nobody_takes_it_up__waits_and_no_receive_is_missing(self):
        self.suite("credits")

    @unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
    def test_wire__loses_packets__every_byte_comes_all_the_same(self):
        self.suite("lossy")

    def test_wrong_key__nothing_is_touched_and_all_fail_once(self):
        self.suite("wrong_key", VERBS_TIMES)

    def test_memory__beyond_its_end__fails_once(self):
        self.suite("beyond", VERBS_TIMES)
        self.suite("own_memory", VERBS_TIMES)

    def test_peer_stops__all_fail_once_and_its_memory_is_its_own(self):
        self.suite("peer_stops", VERBS_TIMES)

    def test_stop__with_transfers_under_way__all_are_told_once(self):
        self.suite("stops_itself", VERBS_TIMES)

    def test_wire_cut__retries_end_and_the_next_lane_works(self):
        self.suite("wire_cut", VERBS_TIMES)

    def test_port_down__told_by_the_device_and_comes_back(self):
        self.suite("port_down", VERBS_TIMES)

    def test_small_mtu_on_the_way__does_not_open_and_says_why(self):
        self.suite("mtu", VERBS_TIMES)

    def test_no_receive__retries_end(self):
        self.suite("no_receive", VERBS_TIMES)

    def test_device_removed__told_and_let_go(self):
        self.suite("device_removed", VERBS_TIMES)

    def test_zz_statuses__every_row_was_seen(self):
        self.assertEqual(self.seen, set(self.statuses))


class DoctorTest(unittest.TestCase):
    """`memkv doctor` where there is RDMA, and what breaks it."""

    @classmethod
    def setUpClass(cls):
        cls.machine = LAB_MACHINE
        cls.machine.sh("soft_roce_wire down")

    def doctor(self, script="", options=""):
        """What it finds behind a script, by check and what it is on."""
        said = self.machine.sh(f"{script}\nmemkv doctor --json {options}", seconds=120,
                               check=False).said
        rows = json.loads(said[said.index("{"):])["checks"]
        return {(row["check"], row["on"]): row for row in rows}

    def result(self, rows, check, on=""):
        return rows[check, on]["result"]

    def test_soft_roce__as_it_is_made__found_whole(self):
        rows = self.doctor("ip link set eth0 mtu 1500 up")
        for check, on in (("rdma_library", ""), ("rdma_device", "rxe0"), ("rdma_access", "rxe0"),
                          ("rdma_port", "rxe0/1"), ("rdma_gid", "rxe0/1")):
            self.assertEqual(self.result(rows, check, on), "pass", rows[check, on])
        self.assertIn("finds 1 devices", rows["rdma_library", ""]["seen"])
        self.assertIn("carries RoCE MTU 1024", rows["rdma_mtu", "rxe0/1"]["seen"])
        for check in ("pfc", "dscp", "ecn"):
            self.assertEqual(self.result(rows, check, "eth0"), "warn")
            self.assertIn("not readable", rows[check, "eth0"]["seen"])
        self.assertIn("untested", rows["dma_buf", ""]["seen"])
        rows = self.doctor(options="--mtu 4096")
        self.assertEqual(self.result(rows, "rdma_mtu", "rxe0/1"), "fail")

    def test_link__down_and_without_an_address__failed(self):
        rows = self.doctor("ip link set eth0 down")
        self.assertEqual(self.result(rows, "rdma_port", "rxe0/1"), "fail", rows)
        rows = self.doctor("""
            own=$(/usr/bin/ip -4 -o address show eth0 | awk '{print $4}')
            ip link set eth0 up
            ip address del $own dev eth0
            sleep 1""")
        self.assertEqual(self.result(rows, "rdma_gid", "rxe0/1"), "fail", rows)
        rows = self.doctor("ip address add 10.0.2.15/24 dev eth0; sleep 1")
        self.assertEqual(self.result(rows, "rdma_gid", "rxe0/1"), "pass", rows)
        self.assertEqual(self.result(rows, "rdma_port", "rxe0/1"), "pass", rows)

    def test_link__deleted__there_is_no_rdma(self):
        rows = self.doctor("rdma link delete rxe0", "--rdma")
        self.assertEqual(self.result(rows, "rdma_device"), "fail")
        rows = self.doctor("rdma link add rxe0 type rxe netdev eth0; sleep 1")
        self.assertEqual(self.result(rows, "rdma_device", "rxe0"), "pass")

    def test_path__narrow_in_the_middle__failed(self):
        # Two ends in name spaces of their own, and a bridge between that takes less.
        self.machine.sh("""
            set -e
            ip=/usr/bin/ip
            $ip netns add here; $ip netns add there
            $ip link add middle type bridge; $ip link set middle up
            for end in here there; do
                $ip link add $end type veth peer name to_$end
                $ip link set to_$end master middle up mtu 9000
                $ip link set $end netns $end mtu 9000
            done
            $ip netns exec here $ip address add 10.9.0.1/24 dev here
            $ip netns exec there $ip address add 10.9.0.2/24 dev there
            for end in here there; do $ip netns exec $end $ip link set $end up; done""")
        check = """
            /usr/bin/ip netns exec there memkv doctor --answer --seconds 60 >/dev/null &
            answerer=$!
            sleep 1
            /usr/bin/ip netns exec here memkv doctor --json --peer 10.9.0.2 >/tmp/said
            kill $answerer
            cat /tmp/said"""
        # The bridge lets a tag of VLANs pass beside the 1500.
        for narrow, result, seen in ((9000, "pass", "packets of 9000 bytes"),
                                     (1500, "fail", r"at most such of 150\d do")):
            said = self.machine.sh(f"/usr/bin/ip link set to_there mtu {narrow}\n{check}",
                                   seconds=120).said
            row = json.loads(said[said.index("{"):])["checks"][-1]
            self.assertEqual((row["check"], row["result"]), ("path_mtu", result), row)
            self.assertRegex(row["seen"], seen)


@unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
class WireTest(unittest.TestCase):
    """The lab's wire, by perftest and without memkv."""

    @classmethod
    def setUpClass(cls):
        cls.machine = LAB_MACHINE

    def bytes_sent(self, end):
        return int(self.machine.sh(f"cat /sys/class/net/{end}/statistics/tx_bytes").said)

    def test_wire__perftest__bytes_take_it(self):
        wire()
        before = self.bytes_sent("left")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=60), seconds=150)
        self.assertRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")
        self.assertGreater(self.bytes_sent("left") - before, 5 << 20)

    def test_wire__the_middle_takes_small_packets_only__writes_do_not_arrive(self):
        wire()
        self.machine.sh("/usr/bin/ip link set right_middle mtu 1500")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=40), seconds=150, check=False)
        self.assertNotEqual(done.status, 0, done.said)
        self.assertNotRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")


@unittest.skipUnless(LONG, "two machines, for minutes: --long")
class AcrossTest(unittest.TestCase):
    """A node on one machine, its clients on another, and a cable that all between them takes."""

    @classmethod
    def setUpClass(cls):
        network = Network()
        cls.addClassCleanup(network.close)
        cls.here, cls.there = [
            cls.enterClassContext(machine(drives, network=network, number=number, count=2,
                                          rdma=True, seconds=ACROSS_S_MAX)).boot()
            for number, drives in ((1, [Drive("a", "1GiB")]), (2, []))]
        cls.here.sh("memkv auth keygen --output /root/key")
        key = cls.here.read("/root/key").decode().strip()
        cls.node = Node(cls.here, "across", ACROSS_CONFIG, ACROSS_SERVER, cls.there,
                        f"MEMKV_AUTH_KEY={key}").start()
        cls.addClassCleanup(cls.node.end)
        cls.node.until_rdma(True)

    def tearDown(self):
        """No byte of a value may have come over TCP."""
        self.assertEqual(self.node.moved("tcp"), (0, 0))

    def test_put_and_get__between_machines__the_same_bytes(self):
        self.assertIn("RDMA: rxe0 port 1 is up, RoCE v2 at 10.77.0.1", self.node.log())
        sizes = (4096, 1 << 20, 8 << 20)
        before = self.node.moved()
        for size in sizes:
            self.there.sh(f"""
                set -e
                head -c {size} /dev/urandom >/tmp/in
                {self.node.client("rdma")} memkv put across-{size} /tmp/in
                {self.node.client("rdma")} memkv get across-{size} /tmp/out
                cmp /tmp/in /tmp/out""", seconds=200)
        self.assertEqual([after - count for after, count in zip(self.node.moved(), before)],
                         [sum(sizes)] * 2)

    def test_no_key__between_machines__is_refused(self):
        done = self.there.sh(f"{client('rdma', ACROSS_SERVER, '')} memkv get across",
                             seconds=COMMAND_S_MAX, check=False)
        self.assertNotEqual(done.status, 0, done.said)
        self.assertIn("set MEMKV_AUTH_KEY", done.said)

    def test_batches__between_machines__are_what_they_have_to_be(self):
        before = self.node.moved()
        with self.node.loaded("far", "rdma") as sums:
            for _ in range(3):
                self.node.until_moves("rdma")
        self.assertEqual([sums[name] for name in ("broken_promises", "missing", "failed")],
                         [0, 0, 0], sums)
        self.assertGreater(sums["puts"], 0)
        self.assertGreater(sums["gets"], 0)
        moved = sum(self.node.moved()) - sum(before)
        self.assertGreaterEqual(moved, sums["bytes"])
        self.assertGreater(self.node.verify("far")["gets"], 0)

    def test_cable__pulled_out_at_either_end__clients_come_back(self):
        for number in range(2 * ACROSS_TIMES):
            end = (self.here, self.there)[number % 2]
            failures, transitions = self.node.failures("port_down"), self.node.transitions()
            with self.node.loaded("cable", "rdma") as sums:
                self.node.until_lanes()
                self.node.until_moves("rdma")
                try:
                    end.set_link(False)
                    self.until_port(end, "DOWN")
                    # The other end sees it by its retries, which take four seconds.
                    self.here.sh("sleep 6")
                finally:
                    end.set_link(True)
                self.until_port(end, "ACTIVE")
                self.node.until_rdma(True)
                self.node.until_moves("rdma")
            self.assertEqual((sums["broken_promises"], sums["missing"]), (0, 0), sums)
            self.assertGreater(sums["gets"], 0)
            if end is self.here:
                self.assertGreater(self.node.failures("port_down"), failures)
                self.node.until_transitions(*(count + 1 for count in transitions))
        self.node.verify("cable")

    def until_port(self, end, state):
        end.sh(f"""
            step=0
            until grep -q {state} /sys/class/infiniband/rxe0/ports/1/state; do
                step=$((step + 1)); [ $step -lt 300 ] || exit 1; sleep 0.2
            done""", seconds=200)


class PerftestAcrossTest(unittest.TestCase):
    @unittest.skipUnless(LONG, "two machines, for a minute: --long")
    def test_perftest__two_machines__messages_and_writes_go_across(self):
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
            script.write(ACROSS)
            script.flush()
            done = subprocess.run(
                [sys.executable, LAB, "--machines", "2", "--rdma", "--drives", "0", script.name],
                capture_output=True, text=True, check=False, timeout=LAB_S_MAX,
                preexec_fn=die_with_parent)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^2:  2 +100 +[\d.]+ ")
        self.assertRegex(done.stdout, r"(?m)^2:  1048576 +5 +[\d.]+ ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
