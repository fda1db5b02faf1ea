#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lab's drive that can lose its power (ci/lab/nbd.py, volatile.py), asked by QEMU's own client.

What it must hold is what the power cut test (test_power_cut.py) builds on: a flush or FUA makes
durable what it covers, and of everything else any part may stay, and no more than was written.
"""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from node import SOURCE

sys.path.insert(0, os.path.join(SOURCE, "ci"))
from lab import nbd
from lab.volatile import MODES, Volatile

MIB = 1 << 20
SIZE = 16 * MIB
COMMAND_S_MAX = 60
SECTOR = 512


def qemu(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False,
                          timeout=COMMAND_S_MAX)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Client:
    """Requests as bytes, so that several can be under way at once."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(COMMAND_S_MAX)
        self.socket.connect(path)
        nbd.receive(self.socket, 18)
        self.socket.sendall(struct.pack(">IQII", 3, nbd.OPTION_MAGIC, nbd.OPT_EXPORT_NAME, 0))
        self.size, self.flags = struct.unpack(">QH", nbd.receive(self.socket, 10))

    @staticmethod
    def request(command, cookie, offset=0, length=0, data=b"", flags=0):
        return nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, cookie, offset,
                                len(data) or length) + data

    def send(self, *requests):
        self.socket.sendall(b"".join(requests))

    def reply(self):
        """Error and cookie of one reply without bytes."""
        magic, error, cookie = struct.unpack(">IIQ", nbd.receive(self.socket, 16))
        assert magic == nbd.SIMPLE_REPLY_MAGIC
        return error, cookie


class ServerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-nbd-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.image = os.path.join(self.folder, "image")
        self.path = os.path.join(self.folder, "socket")
        self.uri = f"nbd+unix:///?socket={self.path}"

    def serve(self, seed=1, **options):
        medium = Volatile(self.image, SIZE, seed, **options)
        self.addCleanup(medium.close)
        server = nbd.Server(self.path, medium)
        self.addCleanup(server.close)
        return server

    def io(self, *commands):
        """Runs commands of qemu-io, and kills it: it would flush at its end."""
        with subprocess.Popen(["qemu-io", "-f", "raw", "-t", "writeback", self.uri],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, bufsize=0) as child:
            for command in ("", *commands):  # it wants to be asked one by one
                if command:
                    child.stdin.write(command.encode() + b"\n")
                said = b""
                while not said.endswith(b"qemu-io> "):
                    got = child.stdout.read(4096)
                    said += got
                    if got == b"" or b"failed" in said or b"rror" in said:
                        child.kill()
                        raise AssertionError(f"{command}:\n{said.decode()}")
            child.kill()

    def image_has(self, byte, offset, length):
        with open(self.image, "rb") as file:
            file.seek(offset)
            return file.read(length) == bytes([byte]) * length

    def test_nbd__qemu_asks_what_it_is__says_size_and_what_it_takes(self):
        self.serve(sector_bytes=4096)
        self.assertIn(f"({SIZE} bytes)", qemu("qemu-img", "info", "-f", "raw", self.uri))
        client = Client(self.path)
        self.assertEqual((client.size, client.flags), (SIZE, nbd.FLAGS))
        client.socket.close()

    def test_nbd__image_copied_in_and_out__is_identical(self):
        source, back = os.path.join(self.folder, "in"), os.path.join(self.folder, "out")
        draw = random.Random(7)
        with open(source, "wb") as file:
            file.truncate(SIZE)
            for offset in range(0, SIZE, MIB):
                file.seek(offset + draw.randrange(64) * SECTOR)
                file.write(draw.randbytes(draw.randrange(1, 512 * 1024)))
        server = self.serve()
        qemu("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, self.uri)
        qemu("qemu-img", "convert", "-f", "raw", "-O", "raw", self.uri, back)
        qemu("qemu-img", "compare", "-f", "raw", "-F", "raw", source, back)
        self.assertEqual(server.medium.pending, [])  # it was flushed at the end

    def test_nbd__cut_without_flush__loses_what_was_read_back_before(self):
        server = self.serve()
        self.io("write -P 1 0 64k", "flush")
        self.io("write -P 2 16k 64k", "read -P 1 0 16k", "read -P 2 16k 64k")
        self.assertTrue(self.image_has(1, 0, 65536))
        cut = server.cut("none")
        self.assertEqual((cut.writes, cut.bytes, cut.bytes_kept), (1, 65536, 0))
        self.io("read -P 1 0 64k", "read -P 0 64k 16k")

    def test_nbd__fua__is_durable_and_nothing_older_comes_over_it(self):
        server = self.serve()
        self.io("write -P 1 0 64k", "write -f -P 2 4k 8k")
        self.assertTrue(self.image_has(2, 4096, 8192))
        self.assertTrue(self.image_has(0, 0, 4096))
        self.io("flush")
        self.assertTrue(self.image_has(1, 0, 4096))
        self.assertTrue(self.image_has(2, 4096, 8192))
        self.assertTrue(self.image_has(1, 12288, 53248))
        self.assertEqual(server.medium.counts["fua"], 1)

    def test_nbd__discard_and_zeroes__read_as_zeroes_and_the_image_shrinks(self):
        server = self.serve()
        self.io("write -P 1 0 8M", "flush")
        full = os.stat(self.image).st_blocks * 512
        self.io("discard 0 4M", "read -P 0 0 4M", "write -z 4M 1M", "read -P 0 4M 1M",
                "read -P 1 5M 3M")
        self.assertEqual(os.stat(self.image).st_blocks * 512, full)
        self.assertGreaterEqual(server.medium.counts["trims"], 1)
        self.assertGreaterEqual(server.medium.counts["zeroes"], 1)
        self.io("flush")
        self.assertLessEqual(os.stat(self.image).st_blocks * 512, full - 4 * MIB)
        self.io("read -P 0 0 5M", "read -P 1 5M 3M")

    def test_nbd__flush_sent_with_writes__owes_them_nothing(self):
        server = self.serve()
        client = Client(self.path)
        held = {False: 0, True: 0}
        for tag in range(1, 25):
            # One message, so both are there when the server looks what there is.
            client.send(client.request(nbd.CMD_WRITE, 1, tag * 4096, data=bytes([tag]) * 4096),
                        client.request(nbd.CMD_FLUSH, 2))
            self.assertEqual({client.reply(), client.reply()}, {(0, 1), (0, 2)})
            held[self.image_has(tag, tag * 4096, 4096)] += 1
        self.assertGreater(held[True], 0)
        self.assertGreater(held[False], 0)
        self.assertEqual(server.medium.counts["flushes"], 24)
        client.send(client.request(nbd.CMD_FLUSH, 3))
        client.reply()
        self.assertTrue(all(self.image_has(tag, tag * 4096, 4096) for tag in range(1, 25)))
        client.socket.close()

    def test_nbd__bad_requests__are_refused_and_change_nothing(self):
        server = self.serve()
        client = Client(self.path)
        for request, error in (
                (client.request(nbd.CMD_READ, 1, SIZE - 512, 1024), nbd.EINVAL),
                (client.request(nbd.CMD_WRITE, 2, SIZE - 512, data=bytes(1024)), nbd.ENOSPC),
                (client.request(nbd.CMD_TRIM, 3, SIZE, 512), nbd.ENOSPC),
                (client.request(nbd.CMD_READ, 4, 0, nbd.PAYLOAD_BYTES_MAX + 512), nbd.EINVAL),
                (client.request(99, 5, 0, 512), nbd.EINVAL)):
            client.send(request)
            self.assertEqual(client.reply()[0], error)
        self.assertEqual(server.medium.pending, [])
        client.send(bytes(nbd.REQUEST.size))  # no magic
        self.assertEqual(client.socket.recv(1), b"")
        client.socket.close()

    def test_nbd__armed__freezes_at_that_request_and_answers_nothing_until_the_cut(self):
        server = self.serve()
        client = Client(self.path)
        server.arm(3)
        for cookie in (1, 2):
            client.send(client.request(nbd.CMD_WRITE, cookie, 0, data=bytes([cookie]) * 512))
            self.assertEqual(client.reply(), (0, cookie))
        client.send(client.request(nbd.CMD_FLUSH, 3))
        self.assertTrue(server.wait_frozen(COMMAND_S_MAX))
        other = Client(self.path)
        other.send(client.request(nbd.CMD_READ, 4, 0, 512))
        client.socket.setblocking(False)
        self.assertRaises(BlockingIOError, client.socket.recv, 1)
        cut = server.cut("all")
        self.assertEqual(cut.writes, 2)
        self.assertTrue(self.image_has(2, 0, 512))
        for each in (client, other):
            each.socket.settimeout(COMMAND_S_MAX)
            self.assertEqual(each.socket.recv(1), b"")
            each.socket.close()
        self.io("read -P 2 0 512")  # and it is there again

    def test_nbd__closed__leaves_no_thread_behind(self):
        before = threading.active_count()
        server = nbd.Server(self.path, Volatile(self.image, SIZE, 1))
        client = Client(self.path)
        server.close()
        self.assertEqual(client.socket.recv(1), b"")
        client.socket.close()
        server.medium.close()
        end = time.monotonic() + COMMAND_S_MAX
        while threading.active_count() > before:
            self.assertLess(time.monotonic(), end, "threads go on")
            time.sleep(0.01)

    def test_program__signals__cut_and_end_it(self):
        program = os.path.join(SOURCE, "ci", "lab", "nbd.py")
        child = subprocess.Popen([program, "--socket", self.path, "--image", self.image, "--size",
                                  str(SIZE), "--seed", "5"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.assertIn("seed 5", child.stdout.readline())
        self.io("write -P 1 0 4k", "write -f -P 2 8k 4k")
        child.send_signal(signal.SIGUSR1)
        self.assertIn("1 writes of 4096 bytes in the cache", child.stdout.readline())
        self.io("read -P 2 8k 4k")
        child.terminate()
        self.assertEqual(child.wait(COMMAND_S_MAX), 0)
        self.assertFalse(os.path.exists(self.path))


class Model:
    """What each sector of a small medium may hold: its durable content, or any written since."""

    def __init__(self, sectors):
        self.durable = [0] * sectors
        self.since = [[] for _ in range(sectors)]

    def write(self, first, count, tag):
        for sector in range(first, first + count):
            self.since[sector].append(tag)

    def write_fua(self, first, count, tag):
        for sector in range(first, first + count):
            self.durable[sector], self.since[sector] = tag, []

    def flush(self):
        for sector, tags in enumerate(self.since):
            if tags:
                self.durable[sector], self.since[sector] = tags[-1], []

    def newest(self, sector):
        return (self.since[sector] or [self.durable[sector]])[-1]

    def may_hold(self, sector):
        return {self.durable[sector], *self.since[sector]}


class VolatileTest(unittest.TestCase):
    SECTORS = 64

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-nbd-")
        self.addCleanup(shutil.rmtree, self.folder)

    def medium(self, seed, **options):
        path = os.path.join(self.folder, f"image-{random.random()}")
        medium = Volatile(path, self.SECTORS * SECTOR, seed, **options)
        self.addCleanup(medium.close)
        return medium

    def tag_of(self, medium, sector):
        data = medium.read(sector * SECTOR, SECTOR)
        self.assertEqual(data, data[:1] * SECTOR, "a sector is torn")
        return data[0]

    def ranges_of(self, draw):
        first = draw.randrange(self.SECTORS)
        return first, draw.randint(1, min(12, self.SECTORS - first))

    def live(self, medium, model, draw, steps):
        for step in range(1, steps + 1):
            first, count = self.ranges_of(draw)
            action = draw.random()
            if action < 0.1:
                model.flush()
                medium.flush()
            elif action < 0.2:
                model.write_fua(first, count, step % 255 + 1)
                medium.write(first * SECTOR, bytes([step % 255 + 1]) * count * SECTOR, True)
            elif action < 0.3:
                model.write(first, count, 0)
                medium.zero(first * SECTOR, count * SECTOR, draw.random() < 0.5)
            else:
                model.write(first, count, step % 255 + 1)
                medium.write(first * SECTOR, bytes([step % 255 + 1]) * count * SECTOR)
            sector = draw.randrange(self.SECTORS)
            self.assertEqual(self.tag_of(medium, sector), model.newest(sector))

    def test_volatile__any_life_and_cut__each_sector_holds_what_it_may(self):
        seen = {"durable": 0, "older": 0, "newest": 0}
        for seed in range(200):
            draw = random.Random(seed)
            medium = self.medium(seed, cache_writes_max=draw.choice((3, 10, 4096)))
            model = Model(self.SECTORS)
            self.live(medium, model, draw, draw.randint(1, 60))
            for sector in range(self.SECTORS):
                self.assertEqual(self.tag_of(medium, sector), model.newest(sector), f"seed {seed}")
            mode = draw.choice(MODES)
            # What was written out before its time makes more than this model knows durable.
            whole = medium.counts["written_out"] == 0
            medium.cut(mode)
            for sector in range(self.SECTORS):
                tag = self.tag_of(medium, sector)
                self.assertIn(tag, model.may_hold(sector), f"seed {seed}, {mode}")
                if whole and mode == "none":
                    self.assertEqual(tag, model.durable[sector], f"seed {seed}")
                if mode == "all":
                    self.assertEqual(tag, model.newest(sector), f"seed {seed}")
                if len(model.may_hold(sector)) == 3:
                    seen["durable" if tag == model.durable[sector] else
                         "newest" if tag == model.newest(sector) else "older"] += 1
        self.assertTrue(all(seen.values()), seen)

    def test_volatile__cut_by_writes__each_is_there_whole_or_not_at_all(self):
        seen = set()
        for seed in range(40):
            medium = self.medium(seed)
            for index in range(8):
                medium.write(index * 8 * SECTOR, bytes([index + 1]) * 8 * SECTOR)
            cut = medium.cut("writes")
            for index in range(8):
                tags = {self.tag_of(medium, index * 8 + sector) for sector in range(8)}
                self.assertEqual(len(tags), 1)
                self.assertIn(tags.pop(), (0, index + 1))
            seen.add(cut.bytes_kept // (8 * SECTOR))
        self.assertGreater(len(seen), 4)

    def test_volatile__cut_by_sectors__writes_are_torn(self):
        torn = 0
        for seed in range(20):
            medium = self.medium(seed)
            medium.write(0, b"\1" * self.SECTORS * SECTOR)
            cut = medium.cut("sectors")
            kept = sum(self.tag_of(medium, sector) for sector in range(self.SECTORS))
            self.assertEqual(cut.bytes_kept, kept * SECTOR)
            torn += 0 < kept < self.SECTORS
        self.assertGreater(torn, 15)

    def test_volatile__sectors_of_4096__tear_at_no_other_place(self):
        for seed in range(20):
            medium = self.medium(seed, sector_bytes=4096)
            medium.write(0, b"\1" * self.SECTORS * SECTOR)
            medium.cut("sectors")
            for unit in range(self.SECTORS // 8):
                tags = {self.tag_of(medium, unit * 8 + sector) for sector in range(8)}
                self.assertEqual(len(tags), 1)

    def test_volatile__same_seed_and_calls__same_end(self):
        ends = []
        for seed in (3, 3, 4):
            medium = self.medium(seed, cache_writes_max=10)
            self.live(medium, Model(self.SECTORS), random.Random(1), 40)
            text = str(medium.cut())
            ends.append((text, bytes(medium.read(0, self.SECTORS * SECTOR))))
        self.assertEqual(ends[0], ends[1])
        self.assertNotEqual(ends[0], ends[2])

    def test_volatile__full__writes_out_and_stays_in_its_bounds(self):
        medium = self.medium(1, cache_bytes_max=8 * SECTOR, cache_writes_max=5)
        model = Model(self.SECTORS)
        self.live(medium, model, random.Random(2), 400)
        self.assertGreater(medium.counts["written_out"], 0)
        self.assertLessEqual(medium.pending_bytes, 8 * SECTOR)
        self.assertLessEqual(len(medium.pending), 5)
        medium.flush()
        medium.cut("none")
        for sector in range(self.SECTORS):
            self.assertEqual(self.tag_of(medium, sector), model.newest(sector))


if __name__ == "__main__":
    unittest.main()
