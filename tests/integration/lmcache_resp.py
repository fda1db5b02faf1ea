# SPDX-License-Identifier: Apache-2.0
"""LMCache's two ways to speak to a server of Redis, byte for byte as docs/clients/ describe them:
its RESP2 client in C++, and its redis:// client on redis-py."""

import socket

PATIENCE_S = 60


class OutOfStep(AssertionError):
    """A reply is not what this client would have understood."""


class CppClient:
    """One connection, one command in flight, no HELLO, PING or SELECT. It knows how long the value
    of a key has to be, and reads that many bytes: any other reply leaves it out of step."""

    def __init__(self, port, password=None, user=None):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if password is not None:
            self._command(b"AUTH", *([user] if user else []), password)
            self._expect(b"+OK\r\n")

    def close(self):
        self._socket.close()

    def _command(self, *words):
        head = b"*%d\r\n" % len(words)
        self._socket.sendall(head + b"".join(
            b"$%d\r\n" % len(word) + word + b"\r\n" for word in words))

    def _receive(self, count):
        data = bytearray()
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the server closed the connection")
            data += more
        return bytes(data)

    def _expect(self, wanted):
        got = self._receive(len(wanted))
        if got != wanted:
            raise OutOfStep(f"{got!r} instead of {wanted!r}")

    def _number(self):
        reply = self._receive(4)
        if reply not in (b":0\r\n", b":1\r\n"):
            raise OutOfStep(repr(reply))
        return reply == b":1\r\n"

    def get(self, key, size):
        """The value, or None; the reply has to be of exactly that size."""
        self._command(b"GET", key)
        if self._receive(1) != b"$":
            raise OutOfStep("no bulk string")
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._receive(1)
        if line == b"-1\r\n":
            return None
        if line != b"%d\r\n" % size:
            raise OutOfStep(f"a value of {line!r} bytes instead of {size}")
        value = self._receive(size)
        self._expect(b"\r\n")
        return value

    def set(self, key, value):
        self._command(b"SET", key, value)
        self._expect(b"+OK\r\n")

    def exists(self, key):
        self._command(b"EXISTS", key)
        return self._number()

    def delete(self, key):
        self._command(b"DEL", key)
        return self._number()


def chunk_key(model, rank, group, chunk_hash, salt=None):
    key = f"{model}@{rank:08x}@{group:x}@{chunk_hash:016x}"
    return (key if salt is None else f"{key}@{salt}").encode()


class RedisUrlClient:
    """A chunk is two keys: its bytes, which are set first, and 28 bytes of metadata."""

    METADATA_BYTES = 28

    def __init__(self, connection):
        self._redis = connection  # redis.asyncio.Redis

    async def contains(self, key):
        return bool(await self._redis.exists(key + b"metadata"))

    async def put(self, key, metadata, data):
        if len(metadata) != self.METADATA_BYTES:
            raise ValueError("metadata of one group has 28 bytes")
        await self._redis.set(key + b"kv_bytes", data)
        await self._redis.set(key + b"metadata", metadata)

    async def get(self, key):
        """Both, or None; one that has lost its other half is removed."""
        metadata = await self._redis.get(key + b"metadata")
        if metadata is None:
            return None
        data = await self._redis.get(key + b"kv_bytes")
        if data is None:
            await self._redis.delete(key + b"metadata")
            return None
        return metadata, data

    async def remove(self, key):
        await self._redis.delete(key + b"metadata")
        await self._redis.delete(key + b"kv_bytes")
