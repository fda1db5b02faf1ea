#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A store file and its file system: it never takes more than its size, and where there is less than
that it refuses puts, loses nothing, and goes on when there is room."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from node import Node
from resp import RespNode, need

MIB = 1 << 20
PATIENCE_S = 120
# Of one file system's own for a file: 1 of 64, and what the smallest takes.
OWN_SHARE = 64
SIZES = (900, 5000, 65536, 300000, 1 << 20, 4 << 20, 40000, 9000)


def value_of(number, size):
    return (number.to_bytes(8, "little") * (size // 8 + 1))[:size]


class Mount:
    """A file system of its own, where this machine lets one be mounted."""

    def __init__(self, test, *arguments):
        self.folder = tempfile.mkdtemp(prefix="memkv-room-")
        done = subprocess.run(["mount", *arguments, self.folder], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            os.rmdir(self.folder)
            raise unittest.SkipTest(f"nothing can be mounted here: {done.stderr.strip()}")
        test.addCleanup(self.remove)

    def remove(self):
        subprocess.run(["umount", self.folder], check=True)
        os.rmdir(self.folder)

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


class RoomTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-room-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.directory)

    def configure(self, folder, size, storage=""):
        self.store = os.path.join(folder, "store.memkv")
        self.config = os.path.join(self.directory, "memkv.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "resp: {durability: durable}\n"
                       f"storage:\n  mode: file\n{storage}"
                       f"  drives:\n    - {{media: {self.store}, size: {size}}}\n")

    def start(self):
        node = RespNode("--config", self.config)
        self.addCleanup(node.__exit__)
        return node.ready()

    def taken(self):
        return os.stat(self.store).st_blocks * 512

    def warning(self, node, code):
        """The warning of this code, or None."""
        found = [entry for entry in node.status()["warnings"] if entry["code"] == code]
        return found[0] if found else None

    def wait_for_warning(self, node, code, there=True):
        end = time.monotonic() + PATIENCE_S
        while (self.warning(node, code) is not None) != there:
            self.assertLess(time.monotonic(), end, f"{code}: {node.status()['warnings']}")
            time.sleep(0.1)
        return self.warning(node, code)

    def check_serves(self, node):
        status, body = node.http("/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (200, "healthy"))
        self.assertEqual([drive["state"] for drive in node.status()["storage"]["devices"]],
                         ["online"])

    def set(self, client, number, size):
        """Whether it was stored; else it was refused for want of room."""
        reply = client.call("SET", f"key-{number}", value_of(number, size))
        if reply != b"+OK\r\n":
            self.assertTrue(reply.startswith(b"-OOM "), reply[:200])
        return reply == b"+OK\r\n"

    def check_values(self, client, stored):
        for number, size in stored.items():
            reply = client.call("GET", f"key-{number}")
            self.assertEqual(reply, b"$%d\r\n%s\r\n" % (size, value_of(number, size)), number)

    # ---- the cap -----------------------------------------------------------------------------

    def fill_over_and_over(self, storage):
        size = 64 * MIB
        self.configure(self.directory, f"{size >> 20}MiB", storage)
        node = self.start()
        most = 0
        with node.connect() as client:
            sent = number = 0
            while sent < 3 * size:
                length = SIZES[number % len(SIZES)]
                self.assertTrue(self.set(client, number, length))
                most = max(most, self.taken())
                sent += length
                number += 1
        most = max(most, self.taken())
        self.assertEqual(os.stat(self.store).st_size, size)
        self.assertLessEqual(most, size + size // OWN_SHARE)
        self.assertGreater(most, size // 4)
        self.assertEqual(node.terminate(), 0)

    def test_cap__filled_three_times__never_more_blocks_than_its_size(self):
        self.fill_over_and_over("")

    def test_cap__with_trims__never_more_blocks_than_its_size(self):
        self.fill_over_and_over("  trim: 'on'\n")

    def test_cap__file_larger_than_its_size__start_is_refused(self):
        self.configure(self.directory, "64MiB")
        self.assertEqual(self.start().terminate(), 0)
        self.configure(self.directory, "32MiB")
        node = Node("--config", self.config)
        self.addCleanup(node.__exit__)
        self.assertEqual(node.wait(), 78)
        said = "\n".join(node.errors + node.lines)
        self.assertIn(f"store file {self.store} has 64MiB, and its size, which is the most that it "
                      "may take, is 32MiB", said)
        self.assertIn("set size: 64MiB", said)

    # ---- no room -----------------------------------------------------------------------------

    def put_until_refused(self, client, stored, first):
        """Puts of 1 MiB; what was stored is in `stored`."""
        for number in range(first, first + 1000):
            if not self.set(client, number, MIB):
                return number
            stored[number] = MIB
        raise AssertionError("no put was refused")

    def use_without_room(self, make_room, until_over):
        """From a new node on a file system that has not enough, to one that goes on."""
        node = self.start()
        warning = self.wait_for_warning(node, "FILE_SYSTEM_SMALL")
        self.assertEqual(warning["device_id"], "d00")
        self.assertIn(self.store, warning["message"])
        stored = {}
        with node.connect() as client:
            refused = self.put_until_refused(client, stored, 0)
            self.assertGreater(refused, 8)
            self.assertFalse(self.set(client, refused + 1, 2 * MIB))
            self.assertEqual(client.call("GET", f"key-{refused}"), b"$-1\r\n")
            warning = self.wait_for_warning(node, "FILE_SYSTEM_FULL")
            self.assertIn("refused with no_space", warning["message"])
            self.assertIn("free space", warning["action"])
            self.check_serves(node)
            self.check_values(client, stored)
            # What has its room goes on: the journal, and the slots of what is deleted.
            self.assertEqual(client.call("DEL", "key-0"), b":1\r\n")
            del stored[0]
            end = time.monotonic() + PATIENCE_S
            while not self.set(client, 5000, MIB):
                self.assertLess(time.monotonic(), end)
            stored[5000] = MIB
        node.kill()
        node = self.start()
        with node.connect() as client:
            self.check_values(client, stored)
            self.assertEqual(client.call("GET", "key-0"), b"$-1\r\n")
            self.put_until_refused(client, stored, 6000)
        self.wait_for_warning(node, "FILE_SYSTEM_FULL")
        self.assertEqual(node.terminate(), 0)  # with a checkpoint, and its clean mark
        node = self.start()
        with node.connect() as client:
            self.check_values(client, stored)
            refused = self.put_until_refused(client, stored, 7000)
            self.wait_for_warning(node, "FILE_SYSTEM_FULL")
            make_room()
            self.assertTrue(self.set(client, refused, MIB))
            stored[refused] = MIB
            if until_over:
                self.wait_for_warning(node, "FILE_SYSTEM_FULL", there=False)
            self.check_serves(node)
            self.check_values(client, stored)
        self.assertEqual(node.terminate(), 0)

    def test_no_room__memory_file_system__puts_are_refused_and_go_on(self):
        mount = Mount(self, "-t", "tmpfs", "-o", "size=48m", "tmpfs")
        self.configure(mount.folder, "160MiB")
        self.use_without_room(lambda: mount.resize("256m"), True)

    def test_no_room__neighbour_fills_the_file_system__puts_are_refused_and_go_on(self):
        need("mkfs.ext4", "e2fsprogs")
        image = os.path.join(self.directory, "image")
        with open(image, "wb") as file:
            file.truncate(256 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        mount = Mount(self, "-o", "loop", image)
        self.configure(mount.folder, "160MiB")
        neighbour = os.path.join(mount.folder, "neighbour")
        with open(neighbour, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 180 * MIB)
        self.use_without_room(lambda: os.unlink(neighbour), False)

    def test_no_room__not_even_for_the_journal__start_is_refused(self):
        mount = Mount(self, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
        self.configure(mount.folder, "256MiB")
        node = Node("--config", self.config)
        self.addCleanup(node.__exit__)
        self.assertEqual(node.wait(), 74)
        said = "\n".join(node.errors + node.lines)
        self.assertRegex(said, r"there is no room for the \d+MiB of journal and tables of store "
                               r"file \S+: No space left on device\. Free space on its file system")
        self.assertEqual(os.listdir(mount.folder), [])


if __name__ == "__main__":
    unittest.main()
