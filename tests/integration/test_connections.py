#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands of connections, most of which do nothing, and some that only take up time.

The client is a process of its own, this file with arguments: half of its connections speak the
native protocol, half RESP, or all speak RESP. The frames of the former are the vectors of
docs/protocol.md. With --long there are 10,000 idle connections and 1,000 busy ones, else a share of
that.
"""

import json
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from node import SOURCE, Node, free_port

LONG = os.environ.get("MKV_LONG") == "1"
IDLE, BUSY = (10000, 1000) if LONG else (400, 40)
DRIPPING, DEAF = (50, 50) if LONG else (4, 4)
REPLIES_EACH = 100
# Of the daemon's resident memory, for a connection that was used and rests …
IDLE_BYTES_MAX = 4096
# … and for one that is used: its buffers.
BUSY_BYTES_MAX = 160 * 1024
# What the process takes besides, for it has more to do.
BESIDES_BYTES_MAX = 24 << 20
# Machines are slow and loaded.
PHASE_S_MAX = 120
HEADER_BYTES = 64
BIG = os.urandom(2 << 20)
SMALL_BYTES = 3000


def vector(name):
    """The bytes of a vector of docs/protocol.md."""
    with open(os.path.join(SOURCE, "docs/protocol.md"), encoding="utf-8") as file:
        block = re.search(rf"^```vector {name}\n(.*?)^```", file.read(), re.M | re.S).group(1)
    return bytes.fromhex("".join(line.split("#")[0] for line in block.split("\n")))


class Connection:
    """One socket, and the reply that it waits for: a miss, or of one that `stores` its value."""

    def __init__(self, port, native, name=0, stores=False):
        self.socket = socket.create_connection(("127.0.0.1", port), PHASE_S_MAX)
        self.native = native
        self.received = b""
        self.replies = 0
        self.name = b"k%d" % name
        self.value = (b"%d " % name * SMALL_BYTES)[:SMALL_BYTES] if stores else None
        self.stored = False
        self.answer = b"$-1\r\n"
        if native:
            self.exchange(vector("hello"))

    def ask(self):
        """A SET and a GET of the same in turn, or only the latter."""
        if self.native:
            self.socket.sendall(vector_get)
        elif self.value is None:
            self.answer = b"$-1\r\n"
            self.socket.sendall(b"GET nothing\r\n")
        elif self.stored:
            self.answer = b"$%d\r\n%s\r\n" % (SMALL_BYTES, self.value)
            self.socket.sendall(b"GET %s\r\n" % self.name)
        else:
            self.answer = b"+OK\r\n"
            self.socket.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
                len(self.name), self.name, SMALL_BYTES, self.value))
        self.stored = not self.stored

    def take(self):
        """Whether a whole reply has come."""
        self.received += self.socket.recv(65536)
        if self.native:
            if len(self.received) < HEADER_BYTES:
                return False
            body, = struct.unpack_from("<I", self.received, 24)
            whole = HEADER_BYTES + body
        else:
            whole = len(self.answer)
        if len(self.received) < whole:
            assert self.native or self.answer.startswith(self.received), self.received
            return False
        assert len(self.received) == whole, self.received
        assert self.native or self.received == self.answer, self.received
        self.received = b""
        self.replies += 1
        return True

    def exchange(self, request=None):
        if request is None:
            self.ask()
        else:
            self.socket.sendall(request)
        while not self.take():
            pass


vector_get = vector("get")


def drip(connections, seconds):
    """A byte a second of a request that does not come to its end."""
    for connection in connections:
        request = vector_get if connection.native else b"SET key " + b"0" * PHASE_S_MAX
        if seconds < len(request) - 1:
            connection.socket.sendall(request[seconds:seconds + 1])


def deafen(port):
    """A client that asks for much and reads none of it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(b"GET big\r\n" * 4)
    return made


def turn_busy(connections, dripping):
    """Each has REPLIES_EACH answers in the end, while others drip and are deaf."""
    waiter = select.epoll()
    by_number = {connection.socket.fileno(): connection for connection in connections}
    for number, connection in by_number.items():
        waiter.register(number, select.EPOLLIN)
        connection.ask()
    begin = time.monotonic()
    left, seconds = len(connections), -1
    while left > 0:
        if int(time.monotonic() - begin) != seconds:
            seconds = int(time.monotonic() - begin)
            drip(dripping, seconds)
        if time.monotonic() > begin + PHASE_S_MAX:
            sys.exit(f"{left} connections were not answered in {PHASE_S_MAX} s")
        for number, _ in waiter.poll(1):
            connection = by_number[number]
            if connection.take():
                if connection.replies < REPLIES_EACH:
                    connection.ask()
                else:
                    waiter.unregister(number)
                    left -= 1
    return time.monotonic() - begin


def run_client(native_port, resp_port):
    """`native_port` 0: all speak RESP."""
    def say(**what):
        print(json.dumps(what), flush=True)
        sys.stdin.readline()

    def connect(count, stores=False):
        return [Connection(native_port, True) if native_port != 0 and index % 2 else
                Connection(resp_port, False, index, stores) for index in range(count)]

    idle = connect(IDLE)
    for connection in idle:
        connection.exchange()
    say(idle=len(idle))
    dripping = connect(DRIPPING)
    deaf = [deafen(resp_port) for _ in range(DEAF)]
    busy = connect(BUSY, stores=True)
    seconds = turn_busy(busy, dripping)
    say(busy=len(busy), seconds=round(seconds, 2), deaf=len(deaf))
    for connection in idle:
        connection.exchange()
    say(awake=len(idle))


class Connections(unittest.TestCase):
    def resident(self, node):
        with open(f"/proc/{node.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def test_idle_and_busy__of_both_protocols(self):
        self.idle_and_busy(1, both=True)

    def test_idle_and_busy__of_resp_on_two_shards(self):
        self.idle_and_busy(2, both=False)

    def idle_and_busy(self, shards, both):
        resp_port = free_port()
        with tempfile.TemporaryDirectory(prefix="memkv-connections-") as directory, \
                Node("--dev", os.path.join(directory, "store"), "--shards", str(shards),
                     variables={"MEMKV_NETWORK_RESP_ADDRESS": f"127.0.0.1:{resp_port}",
                                "MEMKV_STORAGE_BLOCK_BYTES_MAX": "4MiB",
                                "MEMKV_MEMORY_MAX_SIZE": "256MiB"}) as node:
            node.ready()
            path = os.path.join(directory, "big")
            with open(path, "wb") as file:
                file.write(BIG)
            self.assertEqual(node.command("put", "big", path).returncode, 0)
            node.http("/v1/metrics")
            before = self.resident(node)
            client = subprocess.Popen(
                [sys.executable, __file__, str(node.port if both else 0), str(resp_port)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                self.go_through(node, client, before, shards)
            finally:
                client.kill()
                client.wait()
                client.stdin.close()
                client.stdout.close()

    def phase(self, client):
        line = client.stdout.readline()
        self.assertTrue(line.startswith("{"), "the client ended")
        return json.loads(line)

    def go_through(self, node, client, before, shards):
        self.assertEqual(self.phase(client)["idle"], IDLE)
        bound = before + IDLE * IDLE_BYTES_MAX + shards * BESIDES_BYTES_MAX // 8
        end = time.monotonic() + PHASE_S_MAX
        idle, last = self.resident(node), None
        while (idle > bound or idle != last) and time.monotonic() < end:
            time.sleep(1.5)  # what falls is done falling when nothing has changed for so long
            idle, last = self.resident(node), idle
        print(f"{IDLE} idle connections: {(idle - before) / IDLE:.0f} bytes each", flush=True)
        self.assertLessEqual(idle, bound)
        client.stdin.write("\n")
        client.stdin.flush()
        said = self.phase(client)
        self.assertEqual(said["busy"], BUSY)
        busy = self.resident(node)
        print(f"{BUSY} busy ones, {REPLIES_EACH} answers each in {said['seconds']} s: "
              f"{(busy - idle) / (BUSY + DRIPPING + DEAF):.0f} bytes each", flush=True)
        self.assertLessEqual(
            busy, bound + (BUSY + DRIPPING + DEAF) * BUSY_BYTES_MAX + shards * BESIDES_BYTES_MAX)
        client.stdin.write("\n")
        client.stdin.flush()
        self.assertEqual(self.phase(client)["awake"], IDLE)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].isdigit():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        run_client(int(sys.argv[1]), int(sys.argv[2]))
    else:
        unittest.main()
