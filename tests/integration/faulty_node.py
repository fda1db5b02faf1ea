# SPDX-License-Identifier: Apache-2.0
"""What tests with memkv-faulty share: a node whose drives do what the test writes into a file."""

import os
import tempfile
import time
import unittest

from faults import FAULTY, Faults
from node import Node, environment

WAIT_S_MAX = 90


class FaultyNodeTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="memkv-faulty-"))
        self.faults = Faults(os.path.join(self.folder, "faults"))
        self.addCleanup(self.faults.close)
        # Drives let go of what they hold before the node is waited for.
        self.addCleanup(self.faults.heal)

    def start(self, drives, extra="", *arguments, storage=""):
        """A node with so many drives, d00 and on, that is starting."""
        config = os.path.join(self.folder, "memkv.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n" + extra +
                       "storage:\n  mode: file\n  block_bytes_max: 1MiB\n"
                       "  scrub_rate: 0B\n" + storage + "  drives:\n")
            for drive in range(drives):
                file.write(f"    - {{media: d{drive:02}.memkv, size: 64MiB}}\n")
        sockets = self.enterContext(tempfile.TemporaryDirectory(prefix="memkv-faulty-"))
        path = os.path.join(sockets, "s")
        variables = environment(MEMKV_ADMIN_SOCKET=path,
                                MKV_FAULTY_DRIVES=os.path.join(self.folder, "faults"))
        node = self.enterContext(Node("--config", config, *arguments, program=FAULTY,
                                      env=variables, cwd=self.folder))
        node.socket = path
        self.addCleanup(self.faults.heal)
        return node

    def await_it(self, what, condition):
        """What the condition returns when that is true."""
        end = time.monotonic() + WAIT_S_MAX
        while True:
            found = condition()
            if found:
                return found
            self.assertLess(time.monotonic(), end, f"{what} does not come")
            time.sleep(0.05)

    def metric(self, node, name):
        for line in node.http("/v1/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no {name}")

    def codes(self, node):
        """The code and the drive of each warning of the node's status."""
        return {(warning["code"], warning["device_id"])
                for warning in node.status()["warnings"]}
