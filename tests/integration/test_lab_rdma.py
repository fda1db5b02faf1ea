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
from node import SOURCE

LAB = os.path.join(SOURCE, "ci/lab/run")
LAB_S_MAX = 400
MACHINE_S_MAX = 1700

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


class AcrossTest(unittest.TestCase):
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

    def test_wire__perftest__bytes_take_it(self):
        self.machine.sh("soft_roce_wire")
        before = self.bytes_sent("left")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=60), seconds=150)
        self.assertRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")
        self.assertGreater(self.bytes_sent("left") - before, 5 << 20)

    def test_wire__the_middle_takes_small_packets_only__writes_do_not_arrive(self):
        self.machine.sh("soft_roce_wire && /usr/bin/ip link set right_middle mtu 1500")
        done = self.machine.sh(OVER_THE_WIRE.format(seconds=40), seconds=150, check=False)
        self.assertNotEqual(done.status, 0, done.said)
        self.assertNotRegex(done.said, r"(?m)^ 1048576 +5 +[\d.]+ ")


if __name__ == "__main__":
    unittest.main()
