#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node on Soft-RoCE in a machine of the lab: its ports, as they come and go, and clients that put
and get by it, compared byte for byte."""

import json
import unittest

from lab_node import Drive, LabNode, machine

MACHINE_S_MAX = 1700
# The server is at the left end of the wire, and its clients come from the right one.
NETWORK = ("network: {address: '10.78.0.1:9900', admin_address: '127.0.0.1:9901', auth: none}\n"
           "rdma: {device: rxe_left}\n")
CLIENT = "MEMKV_SERVERS=10.78.0.1:9900 MEMKV_RDMA_DEVICES=rxe_right MEMKV_TRANSPORT="
SIZES = (1, 4096, 65536, 65537, 1 << 20, (1 << 20) + 1, 5000003)

# What is done to the wire or its ends, and what mends it. TCP does not take the wire.
FAULTS = (
    ("ip link set left down", "ip link set left up; soft_roce_wire routes"),
    ("ip link set right_middle nomaster", "ip link set right_middle master middle"),
    ("rdma link delete rxe_left", "rdma link add rxe_left type rxe netdev left"),
)


class Node(LabNode):
    def rdma(self):
        return self.status()["rdma"]

    def until_rdma(self, active):
        """Waits until health says so."""
        word = "true" if active else "false"
        return self.until(f"rdma_active {word}",
                          f"ask /v1/health | grep -q '\"rdma_active\": *{word}'")

    def sample(self, line):
        """A sample of the metrics with its labels."""
        for found in self.http("/v1/metrics")[1].splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no {line}")

    def moved(self):
        """Payload bytes over RDMA so far: in, out."""
        return (self.sample('memkv_bytes_in_total{fabric="rdma",listener="native"}'),
                self.sample('memkv_bytes_out_total{fabric="rdma",listener="native"}'))

    def until_lanes(self):
        return self.until("a lane", "ask /v1/metrics | grep -q "
                          "'memkv_connections_active{fabric=\"rdma\"} [1-9]'")

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

    def test_put_and_get__every_size__the_same_bytes(self):
        node = self.node(NETWORK, "bytes").start()
        node.until_rdma(True)
        for transport, sizes in (("rdma", SIZES), ("auto", SIZES[-2:])):
            before = node.moved()
            for size in sizes:
                self.machine.sh(f"""
                    head -c {size} /dev/urandom >/tmp/in
                    export {CLIENT}{transport}
                    memkv put {transport}-{size} /tmp/in
                    memkv exists {transport}-{size}
                    memkv get {transport}-{size} /tmp/out
                    cmp /tmp/in /tmp/out
                    unset MEMKV_TRANSPORT MEMKV_RDMA_DEVICES
                    MEMKV_TRANSPORT=tcp memkv get {transport}-{size} /tmp/out
                    cmp /tmp/in /tmp/out""", seconds=100)
            after = node.moved()
            self.assertEqual(after[0] - before[0], sum(sizes))
            self.assertEqual(after[1] - before[1], sum(sizes))
        node.stop()

    def test_batches__of_several_threads__are_what_they_have_to_be(self):
        node = self.node(NETWORK, "batches").start()
        node.until_rdma(True)
        line = node.load_line("run", "busy", "--threads 2 --seconds 8 --bytes-max 300000")
        line = line.replace("127.0.0.1:9900", "10.78.0.1:9900")
        done = self.machine.sh(f"{CLIENT}rdma {line}", seconds=200)
        sums = json.loads(done.said.strip().splitlines()[-1])
        self.assertGreater(sums["puts"], 0)
        self.assertGreater(sums["gets"], 0)
        self.assertGreater(node.moved()[1], 0)
        self.assertGreater(node.sample("memkv_rdma_read_latency_us_count"), 0)
        self.assertGreater(node.sample("memkv_rdma_write_latency_us_count"), 0)
        self.assertEqual(node.sample('memkv_rdma_failures_total{status="retry_exceeded"}'), 0)
        line = line.replace("load_client run", "load_client verify")
        self.machine.sh(f"{CLIENT}tcp {line}", seconds=200)
        node.stop()

    def test_faults_under_load__clients_go_on_and_come_back__no_byte_is_wrong(self):
        node = self.node(NETWORK, "faults").start()
        node.until_rdma(True)
        line = node.load_line("run", "faults", "--threads 2 --seconds 100 --bytes-max 200000 "
                              "--allow-missing").replace("127.0.0.1:9900", "10.78.0.1:9900")
        self.machine.sh(f"""(
            {CLIENT}auto {line}
            echo "status $?") >{node.folder}/faults.said 2>&1 &""")
        back = 0
        for fault, repair in FAULTS:
            node.until_lanes()
            self.machine.sh(fault)
            node.until("lanes end", "! ask /v1/metrics | grep -q "
                       "'memkv_connections_active{fabric=\"rdma\"} [1-9]'")
            self.machine.sh(repair)
            node.until_lanes()
            self.assertGreater(node.sample("memkv_rdma_recoveries_total"), back)
            back = node.sample("memkv_rdma_recoveries_total")
        sums = node.load_end("faults")
        self.assertEqual(sums["broken_promises"], 0)
        self.assertGreater(sums["gets"], 10)
        verify = line.replace("load_client run", "load_client verify")
        self.machine.sh(f"{CLIENT}auto {verify}", seconds=200)
        self.assertGreater(sum(self.failures(node)), 0)
        node.stop()

    @staticmethod
    def failures(node):
        return [float(line.rsplit(" ", 1)[1]) for line in node.http("/v1/metrics")[1].splitlines()
                if line.startswith("memkv_rdma_failures_total{")]

    def test_off__no_port_is_opened(self):
        node = self.node("rdma: {mode: off}\n", "off").start()
        self.assertNotIn("RDMA", node.log())
        self.assertFalse(json.loads(node.http("/v1/health")[1])["rdma_active"])
        node.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
