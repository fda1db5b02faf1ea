# SPDX-License-Identifier: Apache-2.0
"""RESP as bytes, for tests: a connection that shows what it is answered to the byte, a node with
the listener, and the real redis-server beside it."""

import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from node import MEMKV, Node, free_port

PATIENCE_S = 60


def need(program, package):
    """Skips the test where a program of Debian is not installed."""
    if shutil.which(program) is None:
        raise unittest.SkipTest(f"{program} is not installed; apt-get install {package}")


def encode(*words):
    """A command as clients send it."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(words),
                     *[b"$%d\r\n%s\r\n" % (len(word), word) for word in words]])


class Connection:
    """Sends bytes, and gives each reply as the bytes that it is."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._file.close()
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def reply(self):
        """The next reply, whole; b"" when the connection was closed."""
        line = self._file.readline()
        kind, count = line[:1], line[1:-2]
        if kind in (b"$", b"=") and count != b"-1":
            return line + self._file.read(int(count) + 2)
        elements = {b"*": 1, b"~": 1, b">": 1, b"%": 2}.get(kind, 0)
        if elements and count != b"-1":
            return line + b"".join(self.reply() for _ in range(elements * int(count)))
        return line

    def call(self, *words):
        self.send(encode(*words))
        return self.reply()

    def bulk(self, *words):
        """What a bulk string holds; None for none."""
        reply = self.call(*words)
        if reply in (b"$-1\r\n", b"_\r\n"):
            return None
        if reply[:1] not in (b"$", b"="):
            raise AssertionError(f"{words[0]} was answered {reply[:200]}")
        return reply[reply.index(b"\r\n") + 2:-2]


class RespNode(Node):
    """A node with the listener of RESP."""

    def __init__(self, *arguments, resp_port=None, **options):
        self.resp_port = resp_port or free_port()
        super().__init__("--resp", f"127.0.0.1:{self.resp_port}", *arguments, **options)

    def connect(self):
        return Connection(self.resp_port)


class RedisServer:
    """The real one, without files."""

    def __init__(self, *arguments):
        need("redis-server", "redis-server")
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-redis-")
        self.port = free_port()
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self._directory.name, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with Connection(self.port) as connection:
                    if connection.call("PING") == b"+PONG\r\n":
                        return self
            except OSError:
                pass
            if time.monotonic() > end:
                raise AssertionError("redis-server does not answer")
            time.sleep(0.05)

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._directory.cleanup()

    def connect(self):
        return Connection(self.port)


def until(condition, what):
    """Polls for what becomes true later, such as what waits for a drive."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {PATIENCE_S} s: {what}")
        time.sleep(0.05)


__all__ = ["MEMKV", "Connection", "RedisServer", "RespNode", "encode", "need", "until"]
