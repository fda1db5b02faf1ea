#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""RESP to the byte, over raw sockets: replies, pipelines, values in odd pieces, limits, faults,
restarts."""

import hashlib
import os
import random
import resource
import socket
import tempfile
import time
import unittest

from node import Node, free_port
from resp import until

WAIT_S = 60


def command(*arguments):
    """A multibulk command; arguments are bytes or text."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def bulk(value):
    return b"$%d\r\n%s\r\n" % (len(value), value)


def content(seed, length):
    """Bytes that no other seed has."""
    return random.Random(seed).randbytes(length)


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *chunks):
        for chunk in chunks:
            self.socket.sendall(chunk)

    def take(self, count):
        got = bytearray()
        while len(got) < count:
            more = self.socket.recv(min(count - len(got), 1 << 20))
            if not more:
                raise EOFError(f"the connection ended behind {bytes(got[:200])!r}")
            got += more
        return bytes(got)

    def line(self):
        got = b""
        while not got.endswith(b"\r\n"):
            got += self.take(1)
        return got

    def reply(self):
        """One reply, as its bytes."""
        line = self.line()
        if line[:1] == b"$" and line != b"$-1\r\n":
            return line + self.take(int(line[1:]) + 2)
        if line[:1] in (b"*", b"%") and line != b"*-1\r\n":
            count = int(line[1:]) * (2 if line[:1] == b"%" else 1)
            return line + b"".join(self.reply() for _ in range(count))
        return line

    def ask(self, *arguments):
        self.send(command(*arguments))
        return self.reply()

    def is_closed(self):
        return self.socket.recv(1) == b""


class RespTest(unittest.TestCase):
    def start(self, *arguments, directory=None, **variables):
        directory = directory or self.enterContext(tempfile.TemporaryDirectory())
        self.resp = free_port()
        node = self.enterContext(
            Node("--dev", os.path.join(directory, "data"), "--resp", f"127.0.0.1:{self.resp}",
                 *arguments, cwd=directory, variables=variables))
        return node.ready()

    def client(self):
        return self.enterContext(Client(self.resp))

    def expect(self, client, reply, *arguments):
        self.assertEqual(client.ask(*arguments), reply, arguments)


class Commands(RespTest):
    def setUp(self):
        self.start(MEMKV_RESP_VALUE_BYTES_MAX="64MiB")

    def test_commands_of_data__reply_to_the_byte(self):
        client = self.client()
        rows = [
            ((b"SET", "k", "hello"), b"+OK\r\n"),
            ((b"get", "k"), b"$5\r\nhello\r\n"),
            ((b"GET", "none"), b"$-1\r\n"),
            ((b"SET", "empty", ""), b"+OK\r\n"),
            ((b"GET", "empty"), b"$0\r\n\r\n"),
            ((b"STRLEN", "k"), b":5\r\n"),
            ((b"STRLEN", "none"), b":0\r\n"),
            ((b"GETRANGE", "k", 1, 3), b"$3\r\nell\r\n"),
            ((b"GETRANGE", "k", 3, 100), b"$2\r\nlo\r\n"),
            ((b"GETRANGE", "k", -3, -2), b"$2\r\nll\r\n"),
            ((b"GETRANGE", "k", -100, 0), b"$1\r\nh\r\n"),
            ((b"GETRANGE", "k", 5, 9), b"$0\r\n\r\n"),
            ((b"GETRANGE", "k", 3, 1), b"$0\r\n\r\n"),
            ((b"GETRANGE", "none", 0, -1), b"$0\r\n\r\n"),
            ((b"GETRANGE", "none", 0, 1), b"$0\r\n\r\n"),
            ((b"GETRANGE", "k", "a", 1), b"-ERR value is not an integer or out of range\r\n"),
            ((b"MSET", "a", "1", "b", "22"), b"+OK\r\n"),
            ((b"MGET", "a", "none", "b"), b"*3\r\n$1\r\n1\r\n$-1\r\n$2\r\n22\r\n"),
            ((b"EXISTS", "a"), b":1\r\n"),
            ((b"EXISTS", "none"), b":0\r\n"),
            ((b"EXISTS", "a", "none", "b", "a"), b":3\r\n"),
            ((b"TOUCH", "a", "none"), b":1\r\n"),
            ((b"DEL", "a"), b":1\r\n"),
            ((b"DEL", "a"), b":0\r\n"),
            ((b"UNLINK", "a", "b", "none"), b":1\r\n"),
            ((b"SETNX", "k", "x"), b":0\r\n"),
            ((b"SETNX", "new", "x"), b":1\r\n"),
            ((b"SET", "k", "x", "NX"), b"$-1\r\n"),
            ((b"SET", "none", "x", "xx"), b"$-1\r\n"),
            ((b"SET", "k", "y", "XX", "EX", 100), b"+OK\r\n"),
            ((b"SETEX", "k", 100, "z"), b"+OK\r\n"),
            ((b"PSETEX", "k", 100500, "zz"), b"+OK\r\n"),
            ((b"GET", "k"), b"$2\r\nzz\r\n"),
            ((b"STRLEN", "k"), b":2\r\n"),
            ((b"TTL", "new"), b":-1\r\n"),
            ((b"PTTL", "none"), b":-2\r\n"),
            ((b"EXPIRETIME", "new"), b":-1\r\n"),
            ((b"SET", "at", "v", "EXAT", 4000000000), b"+OK\r\n"),
            ((b"EXPIRETIME", "at"), b":4000000000\r\n"),
            ((b"PEXPIRETIME", "at"), b":4000000000000\r\n"),
            ((b"SET", "at", "w", "KEEPTTL"), b"+OK\r\n"),
            ((b"GET", "at"), b"$1\r\nw\r\n"),
            ((b"EXPIRETIME", "at"), b":4000000000\r\n"),
            ((b"SET", "at", "x", "keepttl", "NX"), b"$-1\r\n"),
            ((b"SET", "at", "x", "XX", "KEEPTTL"), b"+OK\r\n"),
            ((b"EXPIRETIME", "at"), b":4000000000\r\n"),
            ((b"SET", "at", "y"), b"+OK\r\n"),
            ((b"TTL", "at"), b":-1\r\n"),
            ((b"SET", "at", "z", "KEEPTTL"), b"+OK\r\n"),
            ((b"TTL", "at"), b":-1\r\n"),
            ((b"SET", "fresh", "z", "KEEPTTL"), b"+OK\r\n"),
            ((b"GET", "fresh"), b"$1\r\nz\r\n"),
            ((b"SET", "at", "z", "KEEPTTL", "EX", 1), b"-ERR syntax error\r\n"),
            ((b"SET", "at", "z", "EX", 1, "KEEPTTL"), b"-ERR syntax error\r\n"),
            ((b"SET", "at", "z", "GET"), b"-ERR SET does not take GET here\r\n"),
            ((b"SET", "past", "v", "EXAT", 1000000000), b"+OK\r\n"),
            ((b"EXPIRE", "new", 100), b":1\r\n"),
            ((b"EXPIRE", "new", 200, "NX"), b":0\r\n"),
            ((b"EXPIRE", "new", 50, "GT"), b":0\r\n"),
            ((b"EXPIRE", "new", 200, "XX"), b":1\r\n"),
            ((b"EXPIRE", "new", 200, "ZZ"), b"-ERR Unsupported option ZZ\r\n"),
            ((b"EXPIREAT", "new", 4000000000), b":1\r\n"),
            ((b"EXPIRETIME", "new"), b":4000000000\r\n"),
            ((b"PEXPIREAT", "new", 4000000000001), b":1\r\n"),
            ((b"EXPIRETIME", "new"), b":4000000001\r\n"),
            ((b"PERSIST", "new"), b":1\r\n"),
            ((b"PERSIST", "new"), b":0\r\n"),
            ((b"TTL", "new"), b":-1\r\n"),
            ((b"EXPIRE", "new", -1), b":1\r\n"),
            ((b"EXISTS", "new"), b":0\r\n"),
            ((b"PEXPIRE", "new", 1), b":0\r\n"),
            ((b"SET", "late", "x" * 100000, "EXAT", 4000000000), b"+OK\r\n"),
            ((b"EXPIRETIME", "late"), b":4000000000\r\n"),
            ((b"STRLEN", "late"), b":100000\r\n"),
            ((b"SET", "late", "x" * 100001, "ZZ"), b"-ERR syntax error\r\n"),
            ((b"SET", "late", "x" * 100001, "KEEPTTL"),
             b"-ERR SET takes KEEPTTL for values of up to 18432 bytes\r\n"),
            ((b"SET", "late", "x" * 100001, "NX"),
             b"-ERR SET takes NX and XX for values of up to 18432 bytes\r\n"),
            ((b"STRLEN", "late"), b":100000\r\n"),
            ((b"TYPE", "k"), b"+string\r\n"),
            ((b"TYPE", "none"), b"+none\r\n"),
            ((b"SETEX", "k", 0, "z"), b"-ERR invalid expire time in 'setex' command\r\n"),
            ((b"SET", "k", "y", "EX", "1.5"),
             b"-ERR value is not an integer or out of range\r\n"),
            ((b"SET", "k", "y", "NX", "XX"), b"-ERR syntax error\r\n"),
            ((b"SET", "k", "y", "EX"), b"-ERR syntax error\r\n"),
            ((b"SET", "k"), b"-ERR wrong number of arguments for 'set' command\r\n"),
            ((b"MSET", "k", "v", "k2"), b"-ERR wrong number of arguments for 'mset' command\r\n"),
            ((b"GET", ""), b"-ERR a key has 1 to 1024 bytes, this one has 0\r\n"),
            ((b"GET", "k" * 1025), b"-ERR a key has 1 to 1024 bytes, this one has 1025\r\n"),
            ((b"SET", "k" * 1024, "v"), b"+OK\r\n"),
            ((b"GET", "k" * 1024), b"$1\r\nv\r\n"),
        ]
        for arguments, reply in rows:
            self.expect(client, reply, *arguments)

    def test_commands_of_the_connection__reply_to_the_byte(self):
        client = self.client()
        rows = [
            ((b"PING",), b"+PONG\r\n"),
            ((b"PING", "a b"), b"$3\r\na b\r\n"),
            ((b"ECHO", ""), b"$0\r\n\r\n"),
            ((b"SELECT", "0"), b"+OK\r\n"),
            ((b"SELECT", "1"), b"-ERR DB index is out of range\r\n"),
            ((b"SELECT", "x"), b"-ERR value is not an integer or out of range\r\n"),
            ((b"HELLO", "4"), b"-NOPROTO unsupported protocol version\r\n"),
            ((b"HELLO", "2", "SETNAME", "a b"),
             b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
            ((b"NONSENSE", "a"),
             b"-ERR unknown command 'NONSENSE', with args beginning with: 'a' \r\n"),
            ((b"AUTH", "secret"),
             b"-ERR AUTH <password> called without any password configured for the default user. "
             b"Are you sure your configuration is correct?\r\n"),
            ((b"RESET",), b"+RESET\r\n"),
        ]
        for arguments, reply in rows:
            self.expect(client, reply, *arguments)
        hello = client.ask("HELLO", "3")
        self.assertTrue(hello.startswith(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), hello)
        self.expect(client, b"_\r\n", "GET", "none")
        self.expect(client, b"+OK\r\n", "QUIT")
        self.assertTrue(client.is_closed())

    def test_inline_commands__are_taken_between_others(self):
        client = self.client()
        client.send(b"SET 'a key' \"v\\x41\"\r\n\r\nGET 'a key'\n" + command("PING"))
        self.assertEqual(client.take(5 + 8 + 7), b"+OK\r\n$2\r\nvA\r\n+PONG\r\n")

    def test_pipeline__replies_stand_in_the_order_of_commands(self):
        client = self.client()
        sent, expected = [], []
        values = {}
        generator = random.Random(7)
        for turn in range(2000):
            key = f"key-{generator.randrange(50)}"
            kind = generator.randrange(5)
            if kind < 2:
                value = content(turn, generator.choice((0, 1, 100, 5000, 18431, 18433, 70000)))
                values[key] = value
                sent.append(command("SET", key, value))
                expected.append(b"+OK\r\n")
            elif kind < 4:
                sent.append(command("GET", key))
                expected.append(bulk(values[key]) if key in values else b"$-1\r\n")
            else:
                sent.append(command("DEL", key, "never"))
                expected.append(b":%d\r\n" % (1 if values.pop(key, None) is not None else 0))
        self.assert_conversation(client, b"".join(sent), b"".join(expected), generator)

    def assert_conversation(self, client, sent, expected, generator):
        """Sends in pieces of any size while replies come, and compares them."""
        got = bytearray()
        at = 0
        client.socket.setblocking(False)
        end = time.monotonic() + WAIT_S
        while len(got) < len(expected):
            self.assertLess(time.monotonic(), end, f"{len(got)} of {len(expected)} bytes came")
            if at < len(sent):
                try:
                    at += client.socket.send(sent[at:at + generator.choice((1, 3, 1000, 100000))])
                except BlockingIOError:
                    pass
            try:
                got += client.socket.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.0005 if at == len(sent) else 0)
        self.assertTrue(bytes(got) == expected, "the replies differ")
        client.socket.settimeout(WAIT_S)

    def test_values_of_all_sizes__come_back_whole_whatever_the_pieces(self):
        client = self.client()
        generator = random.Random(3)
        lengths = (1, 2048, 2049, 18432, 18433, 40960, 65536, 65537, 1 << 20, (1 << 22) + 1,
                   33 * (1 << 20), 50 * (1 << 20) + 7)
        for number, length in enumerate(lengths):
            value = content(length, length)
            sent = command("SET", f"v{number}", value) + command("STRLEN", f"v{number}")
            cuts = sorted(generator.randrange(len(sent)) for _ in range(9))
            for begin, stop in zip([0, *cuts], [*cuts, len(sent)]):
                client.send(sent[begin:stop])
            self.assertEqual(client.line(), b"+OK\r\n", length)
            self.assertEqual(client.line(), b":%d\r\n" % length)
        for number, length in enumerate(lengths):
            client.send(command("GET", f"v{number}"))
            self.assertEqual(client.line(), b"$%d\r\n" % length)
            self.assertEqual(hashlib.sha256(client.take(length)).digest(),
                             hashlib.sha256(content(length, length)).digest(), length)
            self.assertEqual(client.take(2), b"\r\n")
        value = content(lengths[-1], lengths[-1])
        self.expect(client, bulk(value[33 << 20:][:100]), "GETRANGE", "v11", 33 << 20,
                    (33 << 20) + 99)
        self.expect(client, bulk(value[-10:]), "GETRANGE", "v11", -10, -1)

    def test_mset_and_mget__of_many_and_large_values__stand_in_order(self):
        client = self.client()
        values = [content(n, (n * 7919) % 90000) for n in range(300)]
        words = [word for n, value in enumerate(values) for word in (f"m{n}", value)]
        self.expect(client, b"+OK\r\n", "MSET", *words)
        reply = client.ask("MGET", *(f"m{n}" for n in range(300)))
        self.assertTrue(reply == b"*300\r\n" + b"".join(bulk(value) for value in values))
        self.expect(client, b":300\r\n", "DEL", *(f"m{n}" for n in range(1000)))


class Limits(RespTest):
    def test_value_above_the_limit__is_dropped_and_the_connection_goes_on(self):
        node = self.start(MEMKV_RESP_VALUE_BYTES_MAX="1MiB")
        client = self.client()
        client.send(command("SET", "big", b"x" * (1 << 20)) +
                    command("SET", "bigger", b"x" * ((1 << 20) + 1)) + command("PING"))
        self.assertEqual(client.line(), b"+OK\r\n")
        self.assertEqual(client.line(), b"-ERR value of 1048577 bytes exceeds "
                                        b"resp.value_bytes_max (1048576)\r\n")
        self.assertEqual(client.line(), b"+PONG\r\n")
        self.expect(client, b"$-1\r\n", "GET", "bigger")
        self.assertIn("VALUE_TOO_LARGE",
                      [warning["code"] for warning in node.status()["warnings"]])

    def test_long_arguments__are_refused_and_the_connection_goes_on(self):
        self.start()
        client = self.client()
        long = "x" * 100000
        self.assertTrue(client.ask("PING", long).startswith(b"-ERR argument 1 of 'ping'"))
        self.assertTrue(client.ask("GET", long).startswith(b"-ERR argument 1 of 'get'"))
        self.assertTrue(client.ask(long, "x").startswith(b"-ERR unknown command"))
        self.assertTrue(client.ask("NONSENSE", *["x"] * 200).startswith(b"-ERR"))
        self.assertTrue(client.ask("NONSENSE", *["x" * 9000] * 20).startswith(b"-ERR"))
        self.expect(client, b"+PONG\r\n", "PING")

    def test_mget_with_keys_that_are_refused__has_an_element_for_each(self):
        self.start()
        client = self.client()
        self.expect(client, b"+OK\r\n", "SET", "a", "1")
        for key in ("x" * 1025, "x" * 20000, ""):
            client.send(command("MGET", "a", key, "a", key) + command("PING"))
            self.assertEqual(client.take(11), b"*4\r\n$1\r\n1\r\n")
            self.assertTrue(client.line().startswith(b"-ERR "))
            self.assertEqual(client.take(7), b"$1\r\n1\r\n")
            self.assertTrue(client.line().startswith(b"-ERR "))
            self.assertEqual(client.line(), b"+PONG\r\n")
            client.send(command("MGET", key, "a") + command("PING"))
            self.assertTrue(client.line().startswith(b"-ERR "))
            self.assertEqual(client.line(), b"+PONG\r\n")

    def test_count_of_a_command_whose_client_vanished__is_not_in_the_next_ones(self):
        self.start()
        client = self.client()
        for turn in range(5):
            self.expect(client, b"+OK\r\n", "SET", "a", "1")
            with Client(self.resp) as gone:
                gone.send(b"*3\r\n$3\r\nDEL\r\n$1\r\na\r\n")
                until(lambda: client.ask("EXISTS", "a") == b":0\r\n", "the key is deleted")
            until(lambda: client.ask("CLIENT", "LIST").count(b" addr=") == 1, "its end is seen")
            with Client(self.resp) as next_one:
                self.expect(next_one, b":0\r\n", "DEL", "a")

    def test_protocol_errors__are_told_and_close_the_connection(self):
        self.start()
        rows = [
            (b"*1\r\nx\r\n", b"-ERR Protocol error: expected '$', got 'x'\r\n"),
            (b"*99999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
            (b"*1\r\n$99999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
            (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-4\r\n",
             b"-ERR Protocol error: invalid bulk length\r\n"),
            (b"SET 'a\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
            (b"x" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
            (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + b"x" * 20002,
             b"+OK\r\n-ERR Protocol error: expected CRLF behind a bulk\r\n"),
        ]
        for sent, reply in rows:
            with Client(self.resp) as client:
                client.send(command("PING") + sent)
                self.assertEqual(client.line(), b"+PONG\r\n")
                self.assertEqual(client.take(len(reply)), reply)
                try:
                    self.assertTrue(client.is_closed(), sent[:50])
                except ConnectionResetError:
                    pass
        self.expect(self.client(), b"+PONG\r\n", "PING")

    def test_peers_that_vanish_or_shut_their_side__harm_nobody(self):
        self.start()
        half = self.client()
        half.send(command("SET", "half", b"x" * 100000) + command("GET", "half"))
        half.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(half.take(5), b"+OK\r\n")
        self.assertEqual(half.reply(), bulk(b"x" * 100000))
        self.assertTrue(half.is_closed())
        for sent in (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nxxx", b"*2\r\n$3\r\nGET", b"*"):
            with Client(self.resp) as gone:
                gone.send(sent)
        slow = self.client()
        slow.send(b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$3000000\r\nxxx")
        deaf = self.client()
        deaf.send(command("SET", "large", content(1, 1 << 20)))
        self.assertEqual(deaf.line(), b"+OK\r\n")
        deaf.send(command("GET", "large") * 60)
        client = self.client()
        self.expect(client, b"$-1\r\n", "GET", "k")
        for number in range(20):
            value = content(number, 300000)
            self.expect(client, b"+OK\r\n", "SET", f"n{number}", value)
            self.expect(client, bulk(value), "GET", f"n{number}")
        for _ in range(60):
            self.assertTrue(deaf.reply() == bulk(content(1, 1 << 20)))


    def test_crowd_that_stops_in_commands__gives_way_to_those_who_wait(self):
        # More than there are workspaces, and more than some shells let a process open.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.start()
        idle = [self.client() for _ in range(50)]
        crowd = [self.client() for _ in range(1200)]
        for client in crowd:
            client.send(b"*2\r\n$3\r\nGET\r\n$100\r\nxx")
        for client in idle:
            self.expect(client, b"+PONG\r\n", "PING")


class Restart(RespTest):
    def test_durable_values__are_there_behind_a_kill(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        node = self.start(directory=directory, MEMKV_RESP_DURABILITY="durable")
        client = self.client()
        large = content(9, 40 << 20)
        self.expect(client, b"+OK\r\n", "SET", "small", "v")
        self.expect(client, b"+OK\r\n", "SET", "large", large)
        node.kill()
        self.start(directory=directory)
        client = self.client()
        self.expect(client, b"$1\r\nv\r\n", "GET", "small")
        self.assertTrue(client.ask("GET", "large") == bulk(large))


if __name__ == "__main__":
    unittest.main()
