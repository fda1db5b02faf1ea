#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node on a machine without RDMA: what it says of that, and what it refuses."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

from node import MEMKV, Node, environment, free_port

UNAVAILABLE, CONFIGURATION = 69, 78
DEVICES = "/sys/class/infiniband"


def has_rdma():
    return os.path.isdir(DEVICES) and os.listdir(DEVICES)


@unittest.skipIf(has_rdma(), "this machine has RDMA devices")
class WithoutRdmaTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-test-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, *arguments, **variables):
        child = subprocess.run(
            [MEMKV, "start", "--dev", self.folder, "--listen", f"127.0.0.1:{free_port()}",
             *arguments], capture_output=True, text=True, check=False, timeout=60,
            env={**environment(), **variables}, stdin=subprocess.DEVNULL)
        return child.returncode, child.stderr

    def test_required__is_refused_and_says_how_to_go_on(self):
        for way in ((("--rdma", "require"), {}), ((), {"MEMKV_RDMA_MODE": "require"})):
            code, said = self.refused(*way[0], **way[1])
            self.assertEqual(code, UNAVAILABLE, said)
            self.assertIn("\nrdma.mode is require, and ", "\n" + said)
            self.assertIn("set rdma.mode: auto", said)
            self.assertEqual(os.listdir(self.folder), [], "a refused start changes nothing")

    def test_words_that_are_none__are_named(self):
        code, said = self.refused(MEMKV_RDMA_MTU="9000")
        self.assertEqual(code, CONFIGURATION)
        self.assertIn("MEMKV_RDMA_MTU: rdma.mtu: '9000' is not allowed; use auto, 256, 512, 1024, "
                      "2048 or 4096", said)

    def test_automatic__node_is_healthy_and_says_that_there_is_none(self):
        with Node("--dev", self.folder) as node:
            node.ready()
            health = json.loads(node.http("/v1/health")[1])
            self.assertEqual((health["status"], health["rdma_active"]), ("healthy", False))
            rdma = node.status()["rdma"]
            self.assertEqual((rdma["active"], rdma["configured"], rdma["ports"], rdma["fallbacks"]),
                             (False, False, [], {}))
            self.assertNotIn("rdma", node.status()["fabric"])
            metrics = node.http("/v1/metrics")[1].split("\n")
            for family in ("memkv_rdma_active", "memkv_rdma_configured"):
                self.assertIn(f"{family} 0", metrics)

    def test_device_that_is_named__is_configured_and_not_there(self):
        with Node("--dev", self.folder, variables={"MEMKV_RDMA_DEVICE": "none_0"}) as node:
            node.ready()
            self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "healthy")
            self.assertTrue(node.status()["rdma"]["configured"])
            warning, = [one for one in node.status()["warnings"] if one["code"] == "RDMA_DOWN"]
            self.assertIn("none_0", warning["message"])
            self.assertIn("rdma.device", warning["action"])
            self.assertIn("rdma down, 0 connections", node.admin("status").stdout)


if __name__ == "__main__":
    unittest.main()
