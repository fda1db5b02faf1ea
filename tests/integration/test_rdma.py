#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node on Soft-RoCE in a machine of the lab: its ports, as they come and go."""

import json
import unittest

from lab_node import Drive, LabNode, machine

MACHINE_S_MAX = 1700


class Node(LabNode):
    def rdma(self):
        return self.status()["rdma"]

    def until_rdma(self, active):
        """Waits until health says so."""
        word = "true" if active else "false"
        return self.until(f"rdma_active {word}",
                          f"ask /v1/health | grep -q '\"rdma_active\": *{word}'")

    def until_said(self, words, count=1):
        return self.until(words, f"[ $(grep -c '{words}' {self.folder}/log) -ge {count} ]")


class RdmaTest(unittest.TestCase):
    """One machine for all of these, which is booted once."""

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(
            machine([Drive("a")], network="user", rdma=True,
                    seconds=MACHINE_S_MAX))
        cls.machine.boot()
        cls.machine.sh("soft_roce_wire")

    def node(self, extra, folder):
        node = Node(self.machine, ["/dev/nvme0n1"], f"/root/{folder}", extra=extra)
        self.addCleanup(node.end)
        return node

    def test_require__no_such_device__is_refused_with_a_remedy(self):
        node = self.node("rdma: {mode: require, device: rxe9}\n", "refused")
        done = self.machine.sh(f"memkv start --config {node.folder}/memkv.yaml", seconds=100,
                               check=False)
        self.assertEqual(done.status, 69, done.said)
        self.assertIn("rxe9", done.said)
        self.assertIn("rdma.mode: auto", done.said)

    def test_devices__go_down_and_come_back__are_told_of(self):
        node = self.node("rdma: {device: rxe_left}\n", "ports").start()
        node.until_rdma(True)
        self.assertRegex(node.log(), r"RDMA: rxe_left port 1 is up, RoCE v2 at 10\.78\.0\.1, GID")
        self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "healthy")

        self.machine.sh("ip link set left down")
        node.until_rdma(False)
        self.assertEqual(node.health(), "degraded")
        self.machine.sh("ip link set left up")
        node.until_rdma(True)

        self.machine.sh("rdma link delete rxe_left")
        node.until_rdma(False)
        node.until_said("failed or was removed")
        self.machine.sh("rdma link add rxe_left type rxe netdev left")
        node.until_rdma(True)
        self.assertEqual(node.health(), "healthy")
        node.stop()

    def test_off__no_port_is_opened(self):
        node = self.node("rdma: {mode: off}\n", "off").start()
        self.assertNotIn("RDMA", node.log())
        self.assertFalse(json.loads(node.http("/v1/health")[1])["rdma_active"])
        node.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
