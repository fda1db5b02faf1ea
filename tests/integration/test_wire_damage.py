#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libmemkv through a proxy that flips one bit of a payload on its way: whole blocks, ranges of
them, and values in segments, in both directions. What comes damaged is never a success, and what
goes damaged is never stored."""

import os
import socket
import struct
import sys
import threading
import unittest

from load import Store
from node import BUILD, SOURCE, run_memkv

os.environ["MEMKV_LIBRARY"] = os.path.join(BUILD, "libmemkv.so")
sys.path.insert(0, os.path.join(SOURCE, "client/python"))
import memkv  # noqa: E402

HEADER_BYTES = 64
DATA = 4
BLOCK_BYTES = 1 << 20


class Proxy:
    """Passes frames on; of the `nth` DATA frame in one direction it flips a bit of the last payload
    byte. `flipped` counts."""

    def __init__(self, address):
        host, port = address.split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._armed = None  # (direction, frames that pass before)
        self._lock = threading.Lock()
        self.flipped = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, direction, frames_before=0):
        with self._lock:
            self._armed = (direction, frames_before)

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for source, target, direction in ((client, server, "put"), (server, client, "get")):
                threading.Thread(target=self._pass, args=(source, target, direction),
                                 daemon=True).start()

    def _flips(self, direction):
        with self._lock:
            if self._armed is None or self._armed[0] != direction:
                return False
            if self._armed[1] > 0:
                self._armed = (direction, self._armed[1] - 1)
                return False
            self._armed = None
            self.flipped += 1
            return True

    def _pass(self, source, target, direction):
        stream = source.makefile("rb")
        try:
            while len(header := stream.read(HEADER_BYTES)) == HEADER_BYTES:
                body_bytes, = struct.unpack_from("<I", header, 24)
                payload_bytes, = struct.unpack_from("<Q", header, 32)
                rest = bytearray(stream.read(body_bytes + payload_bytes))
                if header[5] == DATA and payload_bytes > 0 and self._flips(direction):
                    rest[-1] ^= 0x10
                target.sendall(header + rest)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        stream.close()
        source.close()


class WireDamage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = Store(block_bytes_max="1MiB")
        cls.node = cls.store.start()
        cls.node.ready()
        cls.proxy = Proxy(cls.node.address)
        cls.client = memkv.Client(cls.proxy.address)
        cls.block = os.urandom(BLOCK_BYTES - 100)
        cls.large = os.urandom(3 * BLOCK_BYTES + 12345)
        cls.client.put(b"block", cls.block)
        cls.client.put(b"large", cls.large)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.proxy.close()
        cls.node.kill()
        cls.store.close()

    def damaged(self, frames_before, **arguments):
        """The same is damaged once, then whole again over the same connection."""
        key = arguments.pop("key")
        value = self.block if key == b"block" else self.large
        offset = arguments.get("offset", 0)
        end = offset + arguments.get("length", len(value))
        flipped = self.proxy.flipped
        self.proxy.arm("get", frames_before)
        with self.assertRaises(memkv.CorruptError) as raised:
            self.client.get(key, size=len(value), **arguments)
        self.assertIn("root", str(raised.exception))
        self.assertEqual(self.proxy.flipped, flipped + 1)
        self.assertEqual(self.client.get(key, size=len(value), **arguments), value[offset:end])

    def test_get__whole_block_damaged__is_corrupt(self):
        self.damaged(0, key=b"block")

    def test_get__range_of_a_block_damaged__is_corrupt(self):
        self.damaged(0, key=b"block", offset=70001, length=200000)
        self.damaged(0, key=b"block", offset=5, length=1)

    def test_get__any_segment_damaged__is_corrupt(self):
        for frames_before in range(4):
            self.damaged(frames_before, key=b"large")

    def test_get__range_over_segments_damaged__is_corrupt(self):
        self.damaged(1, key=b"large", offset=BLOCK_BYTES - 7, length=BLOCK_BYTES + 100)

    def test_put__value_of_a_file__is_rooted_piece_by_piece(self):
        path = os.path.join(self.store.directory, "large")
        with open(path, "wb") as file:
            file.write(self.large)
        arguments = ("put", "l3", path, "--server", self.proxy.address)
        self.proxy.arm("put", 1)
        self.assertNotEqual(run_memkv(*arguments).returncode, 0)
        self.assertIsNone(self.client.get(b"l3"))
        self.assertEqual(run_memkv(*arguments).returncode, 0)
        self.assertEqual(self.client.get(b"l3", size=len(self.large)), self.large)

    def test_put__payload_damaged__stores_nothing(self):
        for key, value in ((b"b2", self.block[1:]), (b"l2", self.large[1:])):
            for frames_before in (0,) if key == b"b2" else (0, 2):
                flipped = self.proxy.flipped
                self.proxy.arm("put", frames_before)
                with self.assertRaises(memkv.Error):
                    self.client.put(key, value)
                self.assertEqual(self.proxy.flipped, flipped + 1)
                self.assertIsNone(self.client.get(key))
            self.client.put(key, value)
            self.assertEqual(self.client.get(key, size=len(value)), value)


if __name__ == "__main__":
    unittest.main()
