#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same commands to redis-server and to a node: replies are equal to the byte. What differs, and
why, stands in docs/resp.md; it is not in these lists."""

import random
import tempfile
import unittest

from resp import RedisServer, RespNode, encode, until

SEED = 20
RANDOM_COMMANDS = 3000

# One after another, on one connection to each; nothing else is stored. What is due in the drive's
# own time (DBSIZE, SCAN) is in other tests.
SCRIPT = [
    ("PING",), ("PING", "hello"), ("PING", "a", "b"), ("ECHO", "x y"), ("ECHO",),
    ("SELECT", "0"), ("SELECT", "99"), ("SELECT", "x"),
    ("SET", "k", "v"), ("GET", "k"), ("GET", "missing"), ("STRLEN", "k"), ("STRLEN", "missing"),
    ("SET", "empty", ""), ("GET", "empty"), ("STRLEN", "empty"), ("EXISTS", "empty"),
    ("GETRANGE", "k", "0", "-1"), ("GETRANGE", "k", "5", "9"), ("GETRANGE", "missing", "0", "3"),
    ("GETRANGE", "k", "a", "b"), ("GETRANGE", "k", "0"),
    ("SET", "long", "0123456789" * 1000), ("GETRANGE", "long", "-10", "-1"),
    ("GETRANGE", "long", "9990", "20000"), ("GETRANGE", "long", "-1", "-10"),
    ("GETRANGE", "long", "4095", "4097"),
    ("SET", "k", "w", "NX"), ("SET", "k", "w", "XX"), ("GET", "k"), ("SET", "new", "1", "XX"),
    ("SET", "new", "1", "NX"), ("GET", "new"), ("SET", "k"), ("SET", "k", "v", "BAD"),
    ("SET", "k", "v", "NX", "XX"), ("SET", "k", "v", "EX"), ("SET", "k", "v", "EX", "0"),
    ("SET", "k", "v", "EX", "-1"), ("SET", "k", "v", "EX", "abc"),
    ("SETNX", "k", "other"), ("SETNX", "fresh", "one"), ("SETNX", "fresh"),
    ("SETEX", "e", "100", "v"), ("TTL", "k"), ("TTL", "missing"), ("PTTL", "missing"),
    ("EXPIRETIME", "k"), ("EXPIRETIME", "missing"), ("TTL",), ("TTL", "a", "b"),
    ("SETEX", "e", "0", "v"), ("SETEX", "e", "x", "v"), ("SETEX", "e", "100"),
    ("SET", "e", "w"), ("TTL", "e"),
    ("TYPE", "k"), ("TYPE", "missing"),
    ("MSET", "m1", "a", "m2", "b"), ("MGET", "m1", "missing", "m2"), ("MSET", "m1"),
    ("MSET", "m1", "a", "m2"), ("MGET",),
    ("EXISTS", "k", "k", "missing", "m1"), ("EXISTS",), ("TOUCH", "k", "missing"),
    ("DEL", "m1", "missing", "m2"), ("DEL", "m1"), ("DEL",), ("UNLINK", "new", "missing"),
    ("GET",), ("GET", "a", "b"), ("NOSUCH",), ("nosuch", "a", "b"), ("NoSuch", "x" * 200, "y"),
    ("x" * 150, "y"), ("NOSUCH", "new\nline"), ("NOSUCH", *["arg%d" % i for i in range(40)]),
    ("CLIENT",), ("CLIENT", "NOSUCH"), ("CLIENT", "SETNAME", "tester"), ("CLIENT", "GETNAME"),
    ("CLIENT", "SETNAME", "two words"), ("CLIENT", "GETNAME", "x"), ("CLIENT", "SETNAME", ""),
    ("CLIENT", "GETNAME"), ("CLIENT", "NO-EVICT", "on"), ("CLIENT", "NO-EVICT", "maybe"),
    ("CLIENT", "LIST", "TYPE", "nosuch"), ("CLIENT", "LIST", "TYPE", "pubsub"),
    ("CLIENT", "LIST", "ID", "x"), ("CLIENT", "KILL", "10.9.9.9:1"),
    ("CLIENT", "KILL", "ID", "999999999"),
    ("CONFIG", "GET", "save"), ("CONFIG", "GET", "appendonly"), ("CONFIG", "GET", "nosuch"),
    ("CONFIG", "GET", "APPENDONL?"), ("CONFIG", "GET", "[s]ave"), ("CONFIG", "GET"),
    ("CONFIG", "NOSUCH"),
    ("CONFIG", "GET", "timeout"),
    ("SLOWLOG", "LEN"), ("SLOWLOG", "GET"), ("SLOWLOG", "GET", "-2"), ("SLOWLOG", "GET", "x"),
    ("SLOWLOG", "RESET"), ("SLOWLOG", "NOSUCH"),
    ("LATENCY", "LATEST"), ("LATENCY", "RESET"), ("LATENCY", "NOSUCH"),
    ("MEMORY", "USAGE", "missing"), ("MEMORY", "USAGE"), ("MEMORY", "USAGE", "k", "SAMPLES"),
    ("MEMORY", "USAGE", "k", "SAMPLES", "x"),
    ("OBJECT", "ENCODING", "missing"), ("OBJECT", "REFCOUNT", "k"), ("OBJECT", "NOSUCH", "k"),
    ("OBJECT", "ENCODING", "long"),
    ("SCAN",), ("SCAN", "x"), ("SCAN", "0", "COUNT"), ("SCAN", "0", "COUNT", "0"),
    ("SCAN", "0", "COUNT", "x"), ("SCAN", "0", "BAD", "1"), ("SCAN", "0", "MATCH", "nosuch*"),
    ("SCAN", "99999999999999999999999"),
    ("COMMAND", "COUNT", "x"), ("COMMAND", "NOSUCH"), ("COMMAND", "INFO", "nosuch"),
    ("COMMAND", "DOCS", "nosuch"),
    ("CLUSTER", "INFO"), ("READONLY",), ("READWRITE",),
    ("HELLO", "9"), ("HELLO", "x"),
    ("DBSIZE", "x"), ("TIME", "x"), ("INFO", "nosuch"), ("LASTSAVE", "x"),
]


def pairs(test):
    """A connection to a redis-server and one to a node, both gone with the test."""
    redis = RedisServer().__enter__()
    test.addCleanup(redis.__exit__)
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    node = RespNode("--dev", folder.name)
    test.addCleanup(node.__exit__)
    node.ready()
    connections = redis.connect(), node.connect()
    for connection in connections:
        test.addCleanup(connection.close)
    return connections


def random_command(draw):
    """A command about few keys, with arguments that are right, and wrong at times."""
    key = "r%d" % draw.randrange(12)
    other = "r%d" % draw.randrange(12)
    value = "%x" % draw.getrandbits(64) * draw.choice([0, 1, 1, 5, 200, 500])
    number = str(draw.choice([0, 1, -1, 3, -3, 10, 100, -100, 5000, 70000]))
    return draw.choice([
        ("GET", key), ("GET", key), ("SET", key, value), ("SET", key, value),
        ("SET", key, value, "NX"), ("SET", key, value, "XX"),
        ("SETNX", key, value), ("DEL", key), ("DEL", key, other), ("EXISTS", key, other, key),
        ("STRLEN", key), ("GETRANGE", key, number, str(draw.randrange(-50, 9000))),
        ("MGET", key, other, "never"), ("MSET", key, value, other, value + "x"),
        ("TYPE", key), ("EXPIRETIME", "never"), ("PTTL", "never"), ("TOUCH", key, other),
        ("UNLINK", key), ("SETEX", key, "1000", value), ("GET", key, "extra"), ("STRLEN",),
        ("GETRANGE", key, "one", "two"), ("OBJECT", "REFCOUNT", key),
    ])


class DifferentialTest(unittest.TestCase):
    def test_replies__of_the_script__are_those_of_redis(self):
        redis, node = pairs(self)
        different = []
        for words in SCRIPT:
            wanted, got = redis.call(*words), node.call(*words)
            if wanted != got:
                different.append(f"{words}: {wanted[:300]!r} of redis, {got[:300]!r} here")
        self.assertEqual(different, [])

    def test_replies__pipelined_in_any_pieces__are_those_of_redis(self):
        draw = random.Random(SEED)
        redis, node = pairs(self)
        commands = [random_command(draw) for _ in range(RANDOM_COMMANDS)]
        at = 0
        while at < len(commands):
            batch = commands[at:at + draw.randrange(1, 40)]
            data = b"".join(encode(*words) for words in batch)
            redis.send(data)
            cut = draw.randrange(len(data))
            node.send(data[:cut])
            node.send(data[cut:])
            for words in batch:
                self.assertEqual(node.reply(), redis.reply(), f"{words}, of command {at} on")
            at += len(batch)

    def test_ttl__of_keys_that_expire__is_that_of_redis_but_for_a_second(self):
        redis, node = pairs(self)
        for words in (("SETEX", "a", "100", "v"), ("SET", "b", "v", "EX", "5000"),
                      ("PSETEX", "c", "70000", "v"), ("SET", "d", "v", "PX", "90000")):
            self.assertEqual(node.call(*words), redis.call(*words))
        for command, unit in (("TTL", 1), ("PTTL", 1000), ("EXPIRETIME", 1)):
            for key in "abcd":
                wanted, got = (int(connection.call(command, key)[1:-2])
                               for connection in (redis, node))
                self.assertAlmostEqual(got, wanted, delta=30 * unit)
        for key, most in (("a", 100), ("b", 5000), ("c", 70), ("d", 90)):
            self.assertLessEqual(int(node.call("TTL", key)[1:-2]), most)
        for connection in (redis, node):
            self.assertEqual(connection.call("SET", "short", "v", "EX", "1"), b"+OK\r\n")
            until(lambda: connection.call("GET", "short") == b"$-1\r\n", "it is gone")
            self.assertEqual(connection.call("TTL", "short"), b":-2\r\n")
            self.assertEqual(connection.call("TYPE", "short"), b"+none\r\n")

    def test_replies__inline_commands__are_those_of_redis(self):
        redis, node = pairs(self)
        for line in (b"PING\r\n", b"PING\n", b"\r\nPING\r\n", b"SET a \"x y\"\r\n", b"GET a\r\n",
                     b"GET 'a'\r\n", b"nosuch a b\r\n", b"ECHO \"\\x41\\n\"\r\n",
                     b"EXISTS a b\r\n"):
            redis.send(line)
            node.send(line)
            self.assertEqual(node.reply(), redis.reply(), line)

    def test_replies__of_resp3__are_those_of_redis(self):
        redis, node = pairs(self)
        for connection in (redis, node):
            self.assertIn(b"server", connection.call("HELLO", "3"))
        for words in (("SET", "k", "v"), ("GET", "k"), ("GET", "missing"), ("MGET", "k", "missing"),
                      ("CONFIG", "GET", "save"), ("CONFIG", "GET", "nosuch"), ("EXISTS", "k"),
                      ("CLIENT", "GETNAME"), ("MEMORY", "USAGE", "missing"), ("SLOWLOG", "GET"),
                      ("COMMAND", "INFO", "nosuch"), ("COMMAND", "DOCS", "nosuch"), ("NOSUCH",),
                      ("INFO", "replication_nosuch"), ("TTL", "k")):
            self.assertEqual(node.call(*words), redis.call(*words), words)

    def test_scan_and_dbsize__of_the_same_keys__agree_with_redis(self):
        redis, node = pairs(self)
        keys = {b"key:%d" % i for i in range(300)} | {b"other:%d" % i for i in range(50)}
        for key in keys:
            for connection in (redis, node):
                self.assertEqual(connection.call("SET", key, b"v" * 100), b"+OK\r\n")
        until(lambda: node.call("DBSIZE") == redis.call("DBSIZE"), "the node counts all keys")
        for options in ([], ["COUNT", "7"], ["MATCH", "key:1*"], ["MATCH", "*:2?", "COUNT", "100"],
                        ["TYPE", "string"], ["TYPE", "hash"], ["MATCH", "other:[0-3]"]):
            self.assertEqual(scan(node, *options), scan(redis, *options), options)


def scan(connection, *options):
    """All keys that SCAN lists, sorted; each once."""
    found = []
    cursor = b"0"
    while True:
        reply = connection.call("SCAN", cursor, *options)
        parts = reply.split(b"\r\n")
        if parts[0] != b"*2":
            raise AssertionError(reply)
        cursor = parts[2]
        found += parts[5:-1:2]
        if cursor == b"0":
            return sorted(set(found))


if __name__ == "__main__":
    unittest.main()
