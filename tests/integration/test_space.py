# SPDX-License-Identifier: Apache-2.0
"""raw, metadata, usable and used, to the byte: what status and metrics say of drives against what a
reader of the format counts in their images."""

import os
import random
import shutil
import tempfile
import time
import unittest

from drive_image import Image, UNIT
from node import Node

KIB = 1024
WAIT_S_MAX = 60
MIB = 1024 * KIB
# An inline payload, its limit and one beyond, one unit and one beyond, and the sizes that clients
# send; the last ones take several extents as one.
LENGTHS = [1, 2048, 2049, 4096, 4097, 64 * KIB, 100_000, MIB, MIB + 1, 5 * MIB + 77, 16 * MIB]
# Sparse, with room for all lengths; one is no whole number of units, which no figure may count.
DRIVES = {"a": 8192 * MIB, "b": 12345 * MIB + 7 * UNIT, "c": 10240 * MIB + 1000}
# What a slot of the class takes that status counts free extents in.
DEFAULT_SLOT_UNITS = 1 + 4 * MIB // UNIT


class SpaceTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-space-",
                                       dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        config = self.path("memkv.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       "storage:\n  mode: file\n  scrub_rate: 0\n  drives:\n")
            for name, size in DRIVES.items():
                with open(self.path(name), "wb") as drive:
                    drive.truncate(size)
                file.write(f"    - {{media: {self.path(name)}, name: {name}}}\n")
        self.config = config
        self.random = random.Random(6)

    def path(self, name):
        return os.path.join(self.folder, name)

    def work(self, node, first, count):
        """Stores blocks of all lengths, and deletes every third. Returns how many stay."""
        for number in range(first, first + count):
            length = LENGTHS[number % len(LENGTHS)]
            with open(self.path("value"), "wb") as file:
                file.write(self.random.randbytes(length))
            done = node.command("put", f"key-{number}", self.path("value"))
            self.assertEqual(done.returncode, 0, done.stderr)
        gone = [f"key-{number}" for number in range(first, first + count, 3)]
        self.assertEqual(node.command("delete", *gone).returncode, 0)
        return count - len(gone)

    def metric(self, text, name, device=None):
        label = f'device="{device}"' if device else ""
        rows = [line for line in text.splitlines()
                if line.startswith((f"{name}{{", f"{name} ")) and label in line]
        self.assertEqual(len(rows), 1, (name, device, rows))
        return float(rows[0].split()[-1])

    def evicted(self, metrics):
        return sum(float(line.split()[-1]) for line in metrics.splitlines()
                   if line.startswith("memkv_evictions_total{"))

    def compare(self, told, expected):
        """`told` is (status, metrics) of a node that has ended since, with so many blocks."""
        status, metrics = told
        sums = {"raw": 0, "usable": 0, "used": 0}
        # Keys go where their drives' uuids, which are drawn, have them go.
        live = sum(Image(self.path(name)).live() for name in DRIVES)
        self.assertEqual(live + self.evicted(metrics), expected)
        for device in status["storage"]["devices"]:
            name = device["device_id"]
            image = Image(self.path(name))
            with self.subTest(drive=name):
                raw, usable, used = image.raw_bytes(), image.usable_bytes(), image.used_bytes()
                classes = image.classes()
                self.assertEqual(raw, DRIVES[name] // UNIT * UNIT)
                self.assertEqual(device["raw_capacity_bytes"], raw)
                self.assertEqual(device["usable_bytes"], usable)
                self.assertEqual(device["metadata_bytes"], raw - usable)
                self.assertEqual(device["used_bytes"], used)
                self.assertEqual(device["blocks"], image.live())
                self.assertEqual(device["free_extents"], image.free_extents())
                self.assertEqual(device["allocated_slots"], sum(row[2] for row in classes.values()))
                self.assertEqual(
                    device["total_slots"], sum(row[1] for row in classes.values()) +
                    image.free_extents() * (image.superblock.extent_units // DEFAULT_SLOT_UNITS))
                self.assertEqual(
                    {row["slot_bytes"]: [row["extents"], row["slots"], row["used"]]
                     for row in device["classes"]},
                    {units * UNIT: row for units, row in classes.items()})
                self.assertEqual(
                    self.metric(metrics, "memkv_device_capacity_raw_bytes", name), raw)
                self.assertEqual(
                    self.metric(metrics, "memkv_device_capacity_usable_bytes", name), usable)
                self.assertEqual(self.metric(metrics, "memkv_device_bytes_used", name), used)
                sums = {"raw": sums["raw"] + raw, "usable": sums["usable"] + usable,
                        "used": sums["used"] + used}
        for key, value in sums.items():
            self.assertEqual(status["storage"][f"{key}_bytes_total"], value)
            self.assertEqual(self.metric(metrics, f"memkv_storage_{key}_bytes"), value)

    def told(self, node):
        """Once no slot is held for a reader any more, which a deleted one may be for a moment."""
        end = time.monotonic() + WAIT_S_MAX
        while True:
            status = node.status()
            if all(device["allocated_slots"] == device["blocks"]
                   for device in status["storage"]["devices"]):
                return status, node.http("/v1/metrics")[1]
            self.assertLess(time.monotonic(), end, "slots stay in use that hold no block")
            time.sleep(0.05)

    def test_killed_and_stopped__the_images_say_what_the_node_said(self):
        with Node("--config", self.config) as node:
            node.ready()
            blocks = self.work(node, 0, 44)
            told = self.told(node)
            node.kill()
        # Its journal has all of it, its checkpoint nothing or a part.
        self.compare(told, blocks)
        records = sum(Image(self.path(name)).records for name in DRIVES)
        self.assertGreater(records, 44)
        with Node("--config", self.config) as node:
            node.ready()
            self.assertEqual(self.told(node)[0]["storage"]["used_bytes_total"],
                             told[0]["storage"]["used_bytes_total"])
            blocks += self.work(node, 100, 22)
            told = self.told(node)
            self.assertEqual(node.terminate(), 0, node.errors)
        # Its checkpoint has all of it.
        self.compare(told, blocks)


if __name__ == "__main__":
    unittest.main()
