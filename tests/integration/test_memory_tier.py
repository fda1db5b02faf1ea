#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The memory tier of a real daemon: what it serves, and what relaxed puts come to."""

import os
import tempfile
import time
import unittest

from node import Node

# Figures are copies that may be a tenth of a second old.
FIGURES_S = 0.15
SIZE = 3_000_001


class MemoryTierTest(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())

    def start(self):
        node = self.enterContext(
            Node("--dev", os.path.join(self.directory, "data"), cwd=self.directory))
        node.ready()
        return node

    def file(self, name, size=SIZE):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        return path

    def command(self, node, *arguments, code=0):
        child = node.command(*arguments)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)

    def check_get(self, node, key, path):
        self.command(node, "get", key, path + ".back")
        with open(path, "rb") as put, open(path + ".back", "rb") as got:
            self.assertEqual(put.read(), got.read())
        os.unlink(path + ".back")

    def lookups(self, node):
        time.sleep(FIGURES_S)
        lookups = node.status()["lookups"]
        return lookups["memory_keys"], lookups["drive_keys"], lookups["miss_keys"]

    def test_memory_tier__second_get_after_a_restart__is_a_hit(self):
        path = self.file("value")
        node = self.start()
        self.command(node, "put", "key", path)
        self.check_get(node, "key", path)
        self.assertEqual(self.lookups(node), (1, 0, 0))
        self.assertEqual(node.terminate(), 0)
        node = self.start()
        self.check_get(node, "key", path)
        self.assertEqual(self.lookups(node), (0, 1, 0))
        self.check_get(node, "key", path)
        self.command(node, "exists", "key")
        self.assertEqual(self.lookups(node), (2, 1, 0))
        self.assertEqual(node.status()["memory"]["blocks"], 1)

    def test_memory_tier__replaced_and_deleted__is_not_served(self):
        node = self.start()
        old, new = self.file("old"), self.file("new", 70_000)
        self.command(node, "put", "key", old)
        self.command(node, "put", "--replace", "key", new)
        self.check_get(node, "key", new)
        self.command(node, "delete", "key")
        self.command(node, "get", "key", old + ".back", code=1)

    def test_memory_tier__more_than_memory_holds__everything_is_served(self):
        node = self.start()
        total = node.status()["memory"]["total_bytes"]
        size = 30_000_000
        paths = {f"k{index}": self.file(f"k{index}", size) for index in range(total // size + 3)}
        for key, path in paths.items():
            self.command(node, "put", key, path)
        for key, path in paths.items():
            self.check_get(node, key, path)
        memory, drive, miss = self.lookups(node)
        self.assertEqual(memory + drive, len(paths))
        self.assertGreater(drive, 0)
        self.assertEqual(miss, 0)

    def test_memory_tier__relaxed_put__is_served_at_once_and_durable_when_stopped(self):
        path = self.file("value")
        node = self.start()
        self.command(node, "put", "--relaxed", "key", path)
        self.check_get(node, "key", path)
        self.command(node, "put", "--relaxed", "last", path)
        self.assertEqual(node.terminate(), 0)
        node = self.start()
        self.check_get(node, "key", path)
        self.check_get(node, "last", path)
        status = node.status()
        self.assertEqual(status["blocks_total"], status["blocks_persisted"])

    def test_memory_tier__relaxed_put__is_counted(self):
        path = self.file("value")
        node = self.start()
        self.command(node, "put", "--relaxed", "key", path)
        self.command(node, "put", "--relaxed", "--replace", "key", self.file("other"))
        self.command(node, "put", "durable", path)
        time.sleep(FIGURES_S)
        memory = node.status()["memory"]
        # The second one gave way to nobody before it was durable.
        self.assertEqual((memory["relaxed_puts"], memory["relaxed_puts_lost"]), (1, 0))


if __name__ == "__main__":
    unittest.main()
