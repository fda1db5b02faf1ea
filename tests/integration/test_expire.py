#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A key with an expiry is gone when its time is over: from memory, from the drive, behind a kill."""

import os
import re
import shutil
import tempfile
import time
import unittest

from node import Node

SECONDS = 3


class ExpireTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-expire-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.config = os.path.join(self.directory, "memkv.yaml")
        store = os.path.join(self.directory, "store.memkv")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "storage:\n  mode: file\n"
                       f"  drives:\n    - {{media: {store}, size: 64MiB}}\n")

    def start(self):
        node = Node("--config", self.config)
        self.addCleanup(node.__exit__)
        return node.ready()

    def put(self, node, key, size, *options):
        path = os.path.join(self.directory, "value")
        with open(path, "wb") as file:
            file.write(key.encode() * (size // len(key)))
        child = node.command("put", *options, key, path)
        self.assertEqual(child.returncode, 0, child.stderr)

    def has(self, node, key):
        child = node.command("get", key, os.path.join(self.directory, "back"))
        self.assertIn(child.returncode, (0, 1), child.stderr)
        return child.returncode == 0

    def metric(self, node, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", node.http("/v1/metrics")[1], re.MULTILINE)
        self.assertIsNotNone(found, name)
        return float(found.group(1))

    def test_expire__time_is_over__key_is_gone(self):
        node = self.start()
        self.put(node, "lasting", 100000)
        self.put(node, "brief", 100000, "--expire", str(SECONDS))
        self.put(node, "prolonged", 100000, "--expire", str(SECONDS))
        self.put(node, "prolonged", 100000, "--expire", "1000")
        put_s = time.monotonic()
        self.assertTrue(self.has(node, "brief") or time.monotonic() - put_s > SECONDS - 1)
        # A second for rounding up, one for the pass that drops it.
        deadline_s = put_s + SECONDS + 20
        cause = 'memkv_evictions_by_cause_total{cause="expire"}'
        while self.metric(node, cause) < 1 and time.monotonic() < deadline_s:
            time.sleep(0.2)
        self.assertEqual(self.metric(node, cause), 1)
        self.assertFalse(self.has(node, "brief"))
        self.assertTrue(self.has(node, "lasting"))
        self.assertTrue(self.has(node, "prolonged"))

    def test_expire__killed_before__is_gone_behind_it(self):
        node = self.start()
        self.put(node, "brief", 100000, "--expire", str(SECONDS))
        self.put(node, "lasting", 100000)
        put_s = time.monotonic()
        node.kill()
        time.sleep(max(0, put_s + SECONDS + 1 - time.monotonic()))
        node = self.start()
        self.assertFalse(self.has(node, "brief"))
        self.assertTrue(self.has(node, "lasting"))
        # What an EXISTS reports is leased; what is missing is not.
        self.assertEqual(node.command("exists", "lasting", "brief").returncode, 1)


if __name__ == "__main__":
    unittest.main()
