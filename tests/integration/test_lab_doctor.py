#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv doctor` where there is RDMA: Soft-RoCE in a machine of the lab, and what breaks it."""

import json
import unittest

from lab_node import Machine
from node import MEMKV

MACHINE_S_MAX = 900


class LabDoctorTest(unittest.TestCase):
    """One machine for all of these, which is booted once."""

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(Machine(programs=[MEMKV], network="user", rdma=True,
                                                    seconds=MACHINE_S_MAX))
        cls.machine.boot()

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


if __name__ == "__main__":
    unittest.main()
