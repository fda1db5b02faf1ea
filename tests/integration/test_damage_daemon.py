#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon whose store was damaged serves what is intact, and says what is wrong.

One unit of each structure is ruined in turn, in the places that docs/on-disk-format.md gives: then
the daemon is started and everything is read. No wrong byte may come back, nothing that was deleted
may either, and what is missing must have a reason.
"""

import os
import random
import struct
import subprocess
import unittest

from load import Load, Store

UNIT = 4096
STORE_SIZE = "128MiB"
CAPACITY_UNITS = (128 << 20) // UNIT
SUPERBLOCKS = (0, 8, CAPACITY_UNITS - 9, CAPACITY_UNITS - 1)
RING_START = 16
SUPERBLOCK_FIELDS = struct.Struct("<8sQIIII16s16sQIIQQQQQIIQIIII")
MARKED_KEY = b"marked"
MARKED = random.Random(1).randbytes(9000)
# What the daemon exits with when a drive cannot be had, read, or is not its own.
EXITS_REFUSED = (69, 74, 78)
JOURNAL_BLOCKS_MIN = 8
KILLS_MAX = 10
# Sizes of few classes, so that the small store has room for all of them.
LOAD = ("--threads", "2", "--keys", "24", "--bytes-max", "12000")


def read_unit(path, unit):
    with open(path, "rb") as file:
        file.seek(unit * UNIT)
        return file.read(UNIT)


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def write_unit(path, unit, data):
    assert len(data) == UNIT
    with open(path, "r+b") as file:
        file.seek(unit * UNIT)
        file.write(data)


class Image:
    """Where the structures of a store lie that is not open."""

    def __init__(self, path):
        self.path = path
        unit = read_unit(path, SUPERBLOCKS[0])
        fields = SUPERBLOCK_FIELDS.unpack_from(unit)
        directory_units, = struct.unpack_from("<I", unit, 124)
        self.tenant_units, = struct.unpack_from("<I", unit, 164)
        assert fields[0] == b"MEMKVSB\0"
        self.side, self.journal_sequence = fields[10], fields[11]
        self.pages_used, capacity = fields[16], fields[18]
        self.ring_blocks, self.pages, self.extent_units, self.extents = fields[19:23]
        assert capacity == CAPACITY_UNITS
        self.side_units = 1 + self.tenant_units + self.pages
        self.data_start = (RING_START + 2 * self.ring_blocks + 2 * self.side_units +
                           directory_units)

    def journal_unit(self, copy, sequence):
        return RING_START + copy * self.ring_blocks + sequence % self.ring_blocks

    def journal_last(self):
        """The sequence of the last block that both copies hold."""
        sequence = self.journal_sequence
        while True:
            unit = read_unit(self.path, self.journal_unit(0, sequence))
            magic, _, _, found = struct.unpack_from("<8sQ16sQ", unit)
            if magic != b"MEMKVJB\0" or found != sequence:
                return sequence - 1
            sequence += 1

    def checkpoint_unit(self, page=None):
        """The head of the side in use, or one of its pages."""
        head = RING_START + 2 * self.ring_blocks + self.side * self.side_units
        return head if page is None else head + 1 + self.tenant_units + page

    def slot_of(self, key):
        """The header unit of the slot that holds a key."""
        end = self.data_start + self.extents * self.extent_units
        with open(self.path, "rb") as file:
            for unit in range(self.data_start, end):
                file.seek(unit * UNIT)
                header = file.read(128 + len(key))
                if header.startswith(b"MEMKVSL\0") and header[128:] == key:
                    return unit
        raise AssertionError(f"no slot holds {key}")


class DamageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """A store that was closed and one that was killed, each with what it owes."""
        cls.store = Store(store_size=STORE_SIZE)
        cls.addClassCleanup(cls.store.close)
        cls.load = Load(cls.store, *LOAD)
        cls.store.start()
        cls.load.begin("--seconds", "1")
        totals = cls.load.end()
        assert totals["puts"] > 100 and totals["deletes"] > 10, totals
        marked = os.path.join(cls.store.directory, "marked")
        with open(marked, "wb") as file:
            file.write(MARKED)
        cls.store.node.command("put", MARKED_KEY.decode(), marked).check_returncode()
        cls.store.stop()
        cls.keep("closed")
        cls.kill_with_a_journal(marked)
        cls.keep("killed")

    @classmethod
    def kill_with_a_journal(cls, file):
        """Loads and kills until the journal has blocks that no checkpoint covers: one may have been
        made just before."""
        for seed in range(2, 2 + KILLS_MAX):
            cls.store.start()
            cls.load.begin("--seconds", "0.5", "--seed", seed)
            cls.load.end()
            for number in range(JOURNAL_BLOCKS_MIN):
                cls.store.node.command("put", f"filler {seed} {number}", file).check_returncode()
            cls.store.kill()
            image = Image(cls.store.path)
            if image.journal_last() - image.journal_sequence + 1 >= JOURNAL_BLOCKS_MIN:
                return
        raise AssertionError("the journal is always short")

    @classmethod
    def keep(cls, name):
        for path in (cls.store.path, cls.load.log):
            copy_sparse(path, f"{path}.{name}")

    def tearDown(self):
        if self.store.node is not None:
            self.store.kill()

    def restore(self, name):
        self.tearDown()
        for path in (self.store.path, self.load.log):
            copy_sparse(f"{path}.{name}", path)
        return Image(self.store.path)

    def ruin(self, unit, how):
        before = read_unit(self.store.path, unit)
        after = bytes(UNIT) if how == "zeroed" else random.Random(unit).randbytes(UNIT)
        self.assertNotEqual(before, after, "the damage makes no difference")
        write_unit(self.store.path, unit, after)

    def serves(self, says):
        """Starts, verifies, loads on, restarts, verifies; returns how many blocks are missing."""
        self.store.start()
        try:
            missing = self.load.verify("--allow-missing")["missing"]
            for text in says:
                self.store.node.wait_for(text)
            self.load.begin("--seconds", "0.5", "--seed", "3")
            self.assertGreater(self.load.end()["puts"], 0)
        finally:
            self.store.stop()
        self.store.start()
        try:
            self.assertEqual(self.load.verify()["missing"], 0)
        finally:
            self.store.stop()
        return missing

    def refuses(self, says):
        node = self.store.spawn()
        status = self.store.take().wait()
        said = self.store.text(node)
        self.assertIn(status, EXITS_REFUSED, said)
        for text in ("d00", self.store.path, says):
            self.assertIn(text, said)

    def get_marked(self):
        """memkv get of the marked block: exit status, bytes and what it says."""
        path = os.path.join(self.store.directory, "got")
        got = self.store.node.command("get", MARKED_KEY.decode(), path)
        if got.returncode != 0:
            self.assertFalse(os.path.exists(path))
            return got.returncode, b"", got.stderr
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return got.returncode, data, got.stderr

    # ---- one unit -----------------------------------------------------------------------------

    def test_start__superblock_copy_damaged__serves_all_and_repairs_it(self):
        for unit in SUPERBLOCKS:
            for how in ("zeroed", "random"):
                with self.subTest(unit=unit, how=how):
                    self.restore("killed")
                    self.ruin(unit, how)
                    self.assertEqual(self.serves(["copies of the superblock differed"]), 0)
                    self.assertEqual(read_unit(self.store.path, unit)[:8], b"MEMKVSB\0")

    def test_start__journal_block_damaged_in_one_copy__serves_all(self):
        for copy in (0, 1):
            for back in (0, 1, 5):
                with self.subTest(copy=copy, back=back):
                    image = self.restore("killed")
                    self.ruin(image.journal_unit(copy, image.journal_last() - back), "random")
                    self.assertEqual(self.serves(["stood in one copy only"]), 0)

    def test_start__checkpoint_damaged__comes_up_empty_and_says_so(self):
        for page in (None, 0):
            for how in ("zeroed", "random"):
                with self.subTest(page=page, how=how):
                    image = self.restore("closed")
                    self.ruin(image.checkpoint_unit(page), how)
                    self.store.start()
                    warnings = self.store.node.status()["warnings"]
                    self.store.kill()
                    self.assertIn("CAME_UP_EMPTY", [warning["code"] for warning in warnings])
                    image = self.restore("closed")
                    self.ruin(image.checkpoint_unit(page), how)
                    self.assertGreater(self.serves(["CAME_UP_EMPTY"]), 10)

    def test_start__slot_damaged__its_block_is_missing_and_the_log_says_so(self):
        for name in ("closed", "killed"):
            for offset, what in ((0, "header"), (1, "payload")):
                for how in ("zeroed", "random"):
                    with self.subTest(store=name, what=what, how=how):
                        image = self.restore(name)
                        self.ruin(image.slot_of(MARKED_KEY) + offset, how)
                        self.store.start()
                        status, _, said = self.get_marked()
                        self.assertEqual(status, 1, said)
                        self.assertIn("checksum", said)
                        self.store.node.wait_for("block failed its check")
                        self.store.stop()
                        self.assertEqual(self.serves([]), 0)

    def test_start__nothing_damaged__serves_all(self):
        for name in ("closed", "killed"):
            with self.subTest(store=name):
                self.restore(name)
                self.store.start()
                status, data, said = self.get_marked()
                self.assertEqual(status, 0, said)
                self.assertEqual(data, MARKED)
                self.store.stop()
                self.assertEqual(self.serves([]), 0)

    # ---- more than one ------------------------------------------------------------------------

    def test_start__three_superblocks_damaged__is_refused(self):
        self.restore("closed")
        for unit in SUPERBLOCKS[1:]:
            self.ruin(unit, "random")
        self.refuses("is damaged")

    def test_start__file_truncated__is_refused(self):
        for units in (CAPACITY_UNITS - 1, CAPACITY_UNITS // 2, 1024):
            with self.subTest(units=units):
                self.restore("closed")
                os.truncate(self.store.path, units * UNIT)
                self.refuses("has shrunk")

    def test_start__file_of_random_bytes__is_refused_and_left_alone(self):
        self.restore("closed")
        content = random.Random(7).randbytes(8 << 20)
        with open(self.store.path, "wb") as file:
            file.write(content)
        self.refuses("holds data that is no memkv store")
        with open(self.store.path, "rb") as file:
            self.assertEqual(file.read(), content)


if __name__ == "__main__":
    unittest.main()
