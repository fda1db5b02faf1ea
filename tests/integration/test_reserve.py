#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ALLOCATE and COMMIT: every end of a reservation, a node that stops or is killed meanwhile."""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from node import BUILD, Node, environment

CLIENT = os.path.join(BUILD, "tests/integration/reserve_client")
CLIENT_S_MAX = 60


class ReserveTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-reserve-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.config = os.path.join(self.directory, "memkv.yaml")
        store = os.path.join(self.directory, "store.memkv")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "storage:\n  mode: file\n"
                       f"  drives:\n    - {{media: {store}, size: 128MiB}}\n")

    def start(self):
        node = Node("--config", self.config)
        self.addCleanup(node.__exit__)
        return node.ready()

    def client(self, node, what):
        child = subprocess.run([CLIENT, node.address, what], capture_output=True, text=True,
                               check=False, timeout=CLIENT_S_MAX, env=environment())
        self.assertEqual(child.returncode, 0, child.stderr)

    def hold(self, node):
        child = subprocess.Popen([CLIENT, node.address, "hold"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.addCleanup(child.stdin.close)
        self.assertEqual(child.stdout.readline(), "holding\n")
        return child

    def metric(self, node, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", node.http("/v1/metrics")[1], re.MULTILINE)
        self.assertIsNotNone(found, name)
        return float(found.group(1))

    def test_reserve__used__every_answer_is_right(self):
        node = self.start()
        self.client(node, "use")
        end_s = time.monotonic() + 20
        failed = "memkv_l1_write_failed_keys_total"
        conflicts = f'{failed}{{reason="conflict"}}'
        while self.metric(node, conflicts) < 1 and time.monotonic() < end_s:
            time.sleep(0.1)
        self.assertEqual(self.metric(node, conflicts), 1)
        self.assertEqual(self.metric(node, f'{failed}{{reason="no_space"}}'), 0)
        self.assertEqual(self.metric(node, f'{failed}{{reason="no_memory"}}'), 0)
        # 3 puts with a write, 5 of the batch, 5 of the others.
        self.assertEqual(self.metric(node, "memkv_l1_write_reserved_keys_total"), 13)
        self.assertGreaterEqual(self.metric(node, "memkv_l1_write_requests_total"), 10)
        self.assertEqual(node.terminate(), 0)

    def test_reserve__killed__committed_is_there_and_reserved_is_not(self):
        node = self.start()
        self.hold(node)
        node.kill()
        node = self.start()
        self.client(node, "after")

    def test_reserve__stopped__does_not_wait_for_a_reservation(self):
        node = self.start()
        self.hold(node)
        begin_s = time.monotonic()
        self.assertEqual(node.terminate(), 0)
        self.assertLess(time.monotonic() - begin_s, 30)
        node = self.start()
        self.client(node, "after")


if __name__ == "__main__":
    unittest.main()
