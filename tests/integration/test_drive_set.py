# SPDX-License-Identifier: Apache-2.0
"""The drive set of the real daemon: drives that are away, lost, back again, and new."""

import os
import shutil
import tempfile
import time
import unittest

from node import Node

KEYS = 90
SIZE = "64MiB"
WAIT_S_MAX = 30


class DriveSetTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-set-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.value = self.path("value")
        with open(self.value, "wb") as file:
            file.write(b"v" * 5000)

    def path(self, name):
        return os.path.join(self.folder, name)

    def drive(self, letter):
        return self.path(f"{letter}.memkv")

    def config(self, letters, size=None):
        """Drives are named by their letter, so that a name stays with its file."""
        path = self.path(f"{letters}-{size}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "storage:\n  mode: file\n  drives:\n")
            for letter in letters:
                file.write(f"    - media: {self.drive(letter)}\n      name: {letter}\n")
                if size:
                    file.write(f"      size: {size}\n")
        return path

    def put(self, node, keys):
        for key in keys:
            done = node.command("put", key, self.value)
            self.assertEqual(done.returncode, 0, done.stderr)

    def exists(self, node, key):
        return node.command("exists", key).returncode == 0

    def devices(self, node):
        return {device["device_id"]: device for device in node.status()["storage"]["devices"]}

    def await_state(self, node, state):
        end = time.monotonic() + WAIT_S_MAX
        while node.status()["node"]["state"] != state:
            self.assertLess(time.monotonic(), end, f"the node does not become {state}")
            time.sleep(0.05)

    def make(self, letters):
        """A store of these drives with all keys; returns drive -> uuid, and drive -> its keys."""
        keys = [f"key-{number}" for number in range(KEYS)]
        with Node("--config", self.config(letters, SIZE)) as node:
            node.ready()
            held = {letter: [] for letter in letters}
            for key in keys:
                before = {name: device["blocks"] for name, device in self.devices(node).items()}
                self.put(node, [key])
                end = time.monotonic() + WAIT_S_MAX
                grown = []
                while not grown:  # figures are at most a moment old
                    self.assertLess(time.monotonic(), end)
                    grown = [name for name, device in self.devices(node).items()
                             if device["blocks"] > before[name]]
                held[grown[0]].append(key)
            uuids = {name: device["uuid"] for name, device in self.devices(node).items()}
            self.assertEqual(node.terminate(), 0, node.errors)
        for letter in letters:
            self.assertGreater(len(held[letter]), 5)
        return uuids, held

    def test_drive_moved_away__waits_and_goes_on_when_it_is_back(self):
        uuids, held = self.make("abc")
        os.rename(self.drive("c"), self.path("away"))
        with Node("--config", self.config("abc")) as node:
            line = node.wait_for("not ready")
            self.assertIn(uuids["c"], line)
            self.assertIn(f"Drive c ({self.drive('c')}) is not there.", line)
            code, body = node.http("/v1/ready")
            self.assertEqual(code, 503)
            self.assertIn('"reason":"drives_missing"', body)
            self.assertIn(f"memkv start --lost {uuids['c']}", body)
            self.assertEqual(node.http("/v1/live")[0], 200)
            self.assertEqual(node.http("/v1/health")[0], 503)
            status = node.status()
            self.assertEqual(status["node"]["state"], "waiting")
            self.assertEqual(status["warnings"][0]["code"], "DRIVES_MISSING")
            self.assertEqual(node.command("exists", held["a"][0]).returncode, 3)  # no connection
            os.rename(self.path("away"), self.drive("c"))
            node.ready()
            for keys in held.values():
                self.assertTrue(self.exists(node, keys[0]))
            self.assertEqual(node.terminate(), 0)

    def test_drive_lost_and_back__joins_empty_and_nothing_deleted_returns(self):
        uuids, held = self.make("abc")
        os.rename(self.drive("c"), self.path("away"))
        with Node("--config", self.config("abc"), "--lost", uuids["c"]) as node:
            node.ready()
            status = node.status()
            self.assertEqual(status["node"]["state"], "degraded")  # c is configured and not there
            self.assertEqual(status["node"]["drive_set_version"], 1000000)
            self.assertEqual(status["node"]["drive_set_members"], 2)
            for key in held["a"] + held["b"]:
                self.assertTrue(self.exists(node, key))
            for key in held["c"]:
                self.assertFalse(self.exists(node, key))
            # Some of what c held comes anew and goes; some of the others goes.
            self.put(node, held["c"][:6])
            deleted = held["c"][:3] + held["a"][:3] + held["b"][:3]
            for key in deleted:
                self.assertEqual(node.command("delete", key).returncode, 0)
            self.assertEqual(node.terminate(), 0, node.errors)
        # Without a word from now on: the set has two drives.
        with Node("--config", self.config("ab")) as node:
            node.ready()
            self.assertEqual(node.status()["node"]["state"], "serving")
            self.assertEqual(node.terminate(), 0)
        os.rename(self.path("away"), self.drive("c"))
        with Node("--config", self.config("abc")) as node:
            node.ready()
            node.wait_for("drive was away while the others went on, joins empty")
            self.await_state(node, "serving")
            status = node.status()
            self.assertEqual(status["node"]["drive_set_version"], 1000001)
            self.assertEqual(status["node"]["drive_set_members"], 3)
            self.assertEqual(self.devices(node)["c"]["blocks"], 0)
            self.assertEqual(self.devices(node)["c"]["uuid"], uuids["c"])
            for key in deleted + held["c"]:
                self.assertFalse(self.exists(node, key), key)
            for key in held["a"][3:] + held["b"][3:]:
                self.assertTrue(self.exists(node, key))
            self.put(node, held["c"])
            self.assertEqual(self.devices(node)["c"]["blocks"], len(held["c"]))
            self.assertEqual(node.terminate(), 0, node.errors)

    def test_drive_added__takes_its_keys_and_the_others_drop_them(self):
        _, held = self.make("ab")
        with Node("--config", self.config("abc", SIZE)) as node:
            node.ready()
            node.wait_for("drive dropped the blocks that a joining drive takes over")
            self.await_state(node, "serving")
            keys = held["a"] + held["b"]
            kept = [key for key in keys if self.exists(node, key)]
            self.assertGreater(len(kept), KEYS // 2)
            self.assertLess(len(kept), KEYS)
            self.put(node, keys)  # those that are there are the same
            self.assertEqual(self.devices(node)["c"]["blocks"], KEYS - len(kept))
            blocks = sum(device["blocks"] for device in self.devices(node).values())
            self.assertEqual(blocks, KEYS)  # no key twice
            self.assertEqual(node.terminate(), 0, node.errors)
        with Node("--config", self.config("abc")) as node:
            node.ready()
            for key in keys:
                self.assertTrue(self.exists(node, key))
            self.assertEqual(node.terminate(), 0)

    def test_two_sets__refused_until_one_is_given_up(self):
        uuids, held = self.make("ab")
        for letter, other in (("a", "b"), ("b", "a")):
            with Node("--config", self.config(letter), "--lost", uuids[other]) as node:
                node.ready()
                self.assertEqual(node.terminate(), 0)
        with Node("--config", self.config("ab")) as node:
            line = node.wait_for("not ready")
            self.assertIn("each went on without the other", line)
            self.assertIn("memkv start --lost b, or --lost a", line)
            self.assertEqual(node.terminate(), 0)
        with Node("--config", self.config("ab"), "--lost", "b") as node:
            node.ready()
            self.await_state(node, "serving")
            for key in held["a"]:
                self.assertTrue(self.exists(node, key))
            for key in held["b"]:
                self.assertFalse(self.exists(node, key))
            self.assertEqual(node.terminate(), 0)

    def test_lost__no_such_drive__refused(self):
        self.make("ab")
        os.unlink(self.drive("b"))
        for word, text in (("c", "--lost: 'c' is neither the name of a drive"),
                           ("b", "--lost b: nothing on ")):
            with Node("--config", self.config("ab"), "--lost", word) as node:
                self.assertEqual(node.wait(), 78)
                self.assertTrue(any(line.startswith(text) for line in node.errors), node.errors)


if __name__ == "__main__":
    unittest.main()
