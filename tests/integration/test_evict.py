#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A store that is full goes on taking puts: blocks leave to make room, and a miss says so."""

import os
import re
import shutil
import tempfile
import unittest

from node import Node

STORE_MIB = 256
VALUE_BYTES = 4 << 20
# Three times what the store holds, and a little.
PUTS = 3 * STORE_MIB * (1 << 20) // VALUE_BYTES + 8
RECENT = 16


class EvictTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-evict-")
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, storage=""):
        config = os.path.join(self.directory, "memkv.yaml")
        store = os.path.join(self.directory, "store.memkv")
        with open(config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       f"storage:\n  mode: file\n{storage}"
                       f"  drives:\n    - {{media: {store}, size: {STORE_MIB}MiB}}\n")
        node = Node("--config", config)
        self.addCleanup(node.__exit__)
        return node.ready()

    def put(self, node, number):
        path = os.path.join(self.directory, "value")
        with open(path, "wb") as file:
            file.write(number.to_bytes(8, "little") * (VALUE_BYTES // 8))
        return node.command("put", f"key-{number}", path)

    def get(self, node, number):
        """Whether the key is there; what comes is what was put."""
        path = os.path.join(self.directory, "back")
        child = node.command("get", f"key-{number}", path)
        if child.returncode != 0:
            self.assertEqual(child.returncode, 1, child.stderr)
            return False
        with open(path, "rb") as file:
            self.assertEqual(file.read(), number.to_bytes(8, "little") * (VALUE_BYTES // 8))
        return True

    def metric(self, node, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", node.http("/v1/metrics")[1], re.MULTILINE)
        self.assertIsNotNone(found, name)
        return float(found.group(1))

    def check(self, node):
        for number in range(PUTS - RECENT, PUTS):
            self.assertTrue(self.get(node, number), number)
        evicted = [number for number in range(RECENT) if not self.get(node, number)]
        self.assertEqual(len(evicted), RECENT)

    def test_evict__three_times_what_fits__every_put_succeeds(self):
        node = self.start()
        for number in range(PUTS):
            child = self.put(node, number)
            self.assertEqual(child.returncode, 0, child.stderr)
        blocks = self.metric(node, "memkv_blocks_total")
        evictions = self.metric(node, "memkv_l2_evicted_keys_total")
        self.assertEqual(blocks + evictions, PUTS)
        self.assertGreater(evictions, PUTS / 2)
        self.assertEqual(self.metric(node, 'memkv_evictions_total{tier="unhinted"}'), evictions)
        self.assertEqual(
            self.metric(node, 'memkv_evictions_by_cause_total{cause="capacity"}'), evictions)
        self.assertEqual(self.metric(node, "memkv_no_space_total"), 0)
        self.assertEqual(self.metric(node, 'memkv_miss_keys_total{reason="evicted"}'), 0)
        self.check(node)
        self.assertEqual(self.metric(node, 'memkv_miss_keys_total{reason="evicted"}'), RECENT)
        self.assertEqual(self.metric(node, 'memkv_miss_keys_total{reason="unknown"}'), 0)
        # What was evicted stays so, and what is there is there.
        self.assertEqual(node.terminate(), 0)
        self.check(self.start())

    def test_misses__scraped_right_behind_the_answer__are_all_counted(self):
        node = self.start()
        for count in range(1, 31):
            self.assertFalse(self.get(node, count))
            self.assertEqual(self.metric(node, 'memkv_miss_keys_total{reason="unknown"}'), count)

    def test_evict__switched_off__a_full_store_refuses(self):
        node = self.start("  eviction: 'off'\n")
        stored = 0
        while self.put(node, stored).returncode == 0:
            stored += 1
            self.assertLess(stored, PUTS)
        self.assertGreater(stored, PUTS // 6)
        self.assertEqual(self.metric(node, "memkv_l2_evicted_keys_total"), 0)
        self.assertEqual(self.metric(node, "memkv_no_space_total"), 1)
        for number in range(stored):
            self.assertTrue(self.get(node, number), number)


if __name__ == "__main__":
    unittest.main()
