#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""RDMA over Soft-RoCE in machines of the lab: real verbs, without memkv and with verbs/."""

import os
import subprocess
import sys
import tempfile
import unittest

from lab_node import Machine
from lab.keeper import die_with_parent
from node import BUILD, SOURCE

LAB = os.path.join(SOURCE, "ci/lab/run")
LAB_S_MAX = 400
MACHINE_S_MAX = 1700
SUITE = os.path.join(BUILD, "tests/integration/verbs_suite")
SUITE_S_MAX = 600
LONG = os.environ.get("MKV_LONG") == "1"
# Faults happen this often, on the same devices.
TIMES = 50 if LONG else 3
STATUSES = os.path.join(SOURCE, "tests/fixtures/verbs_statuses.tsv")

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


def statuses():
    """What may be said to a fault: {(fault, side): the possible ones of each column}."""
    with open(STATUSES, encoding="ascii") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return {(row[0], row[1]): [column.split("|") for column in row[2:]] for row in rows}


class AcrossTest(unittest.TestCase):
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


class RdmaTest(unittest.TestCase):
    """One machine for all of these, which is booted once."""

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(Machine(network="user", rdma=True,
                                                    seconds=MACHINE_S_MAX))
        cls.machine.boot()

    def bytes_sent(self, end):
        return int(self.machine.sh(f"cat /sys/class/net/{end}/statistics/tx_bytes").said)

    @unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
    def test_wire__perftest__bytes_take_it(self):
        self.machine.sh("soft_roce_wire")
        before = self.bytes_sent("left")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=60), seconds=150)
        self.assertRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")
        self.assertGreater(self.bytes_sent("left") - before, 5 << 20)

    @unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
    def test_wire__the_middle_takes_small_packets_only__writes_do_not_arrive(self):
        self.machine.sh("soft_roce_wire && /usr/bin/ip link set right_middle mtu 1500")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=40), seconds=150, check=False)
        self.assertNotEqual(done.status, 0, done.said)
        self.assertNotRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")


@unittest.skipUnless(os.path.exists(SUITE), "this build is without RDMA (libibverbs-dev)")
class VerbsTest(unittest.TestCase):
    """verbs/ over two devices of one machine, which is booted once for all of these."""

    @classmethod
    def setUpClass(cls):
        cls.statuses = statuses()
        cls.seen = set()
        cls.machine = cls.enterClassContext(Machine(
            programs=[SUITE], network="user", rdma=True,
            seconds=20 * MACHINE_S_MAX if LONG else MACHINE_S_MAX))
        cls.machine.boot()

    def suite(self, name, times=1):
        self.machine.sh("soft_roce_wire")
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
        return done.said

    def test_open__devices_and_figures__chosen_or_refused_by_name(self):
        self.suite("open")

    def test_create__more_than_there_is_room_for__refused_by_name(self):
        self.suite("full")

    def test_stream__both_ways__every_byte_comes_once_in_order(self):
        self.suite("stream")

    @unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
    def test_transfers__one_byte_to_32_mib__every_byte_and_none_beyond(self):
        self.suite("transfers")

    def test_write__a_message_behind_it__the_bytes_are_there_first(self):
        self.suite("order")

    def test_stream__nobody_takes_it_up__waits_and_no_receive_is_missing(self):
        self.suite("credits")

    @unittest.skipUnless(LONG, "it takes minutes; ./dev test --long")
    def test_wire__loses_packets__every_byte_comes_all_the_same(self):
        self.suite("lossy")

    def test_wrong_key__nothing_is_touched_and_all_fail_once(self):
        self.suite("wrong_key", TIMES)

    def test_memory__beyond_its_end__fails_once(self):
        self.suite("beyond", TIMES)
        self.suite("own_memory", TIMES)

    def test_peer_stops__all_fail_once_and_its_memory_is_its_own(self):
        self.suite("peer_stops", TIMES)

    def test_stop__with_transfers_under_way__all_are_told_once(self):
        self.suite("stops_itself", TIMES)

    def test_wire_cut__retries_end_and_the_next_lane_works(self):
        self.suite("wire_cut", TIMES)

    def test_port_down__told_by_the_device_and_comes_back(self):
        self.suite("port_down", TIMES)

    def test_small_mtu_on_the_way__does_not_open_and_says_why(self):
        self.suite("mtu", TIMES)

    def test_no_receive__retries_end(self):
        self.suite("no_receive", TIMES)

    def test_device_removed__told_and_let_go(self):
        self.suite("device_removed")
        self.machine.sh("""
            step=0
            while rdma link | grep -q rxe_right; do
                step=$((step + 1)); [ $step -lt 100 ] || exit 1; sleep 0.2
            done""")

    def test_zz_statuses__every_row_was_seen(self):
        self.assertEqual(self.seen, set(self.statuses))


if __name__ == "__main__":
    unittest.main()
