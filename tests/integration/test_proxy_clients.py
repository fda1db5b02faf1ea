#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients of Redis, LMCache's clients and seeded commands through `memkv proxy`, in front of
one server and of three."""

import os
import random
import subprocess
import unittest

from node import BUILD
from resp import RedisServer, encode, need
from test_proxy import Cluster
from test_resp_differential import SCRIPT, random_command
from test_resp_lmcache import chunks_of_two_keys, keep_in_step

CLIENT_S_MAX = 120
RESP_LOAD = os.path.join(BUILD, "tests/integration/resp_load")
LONG = os.environ.get("MKV_LONG") == "1"
COMMANDS = 200000 if LONG else 15000
RANDOM_COMMANDS = 3000 if LONG else 600
# What a proxy refuses by name (docs/proxy.md), and whose replies tell of one server.
UNSERVED = {"SETNX", "TTL", "PTTL", "EXPIRETIME", "SLOWLOG", "LATENCY", "MEMORY", "OBJECT", "SCAN",
            "DBSIZE", "LASTSAVE"}


def is_served(words):
    is_conditional = words[0] == "SET" and len(words) > 3 and {"NX", "XX"} & set(words[3:])
    return words[0] not in UNSERVED and not is_conditional


CLUSTER = []


def setUpModule():
    CLUSTER.append(Cluster())


def tearDownModule():
    CLUSTER.pop().close()


class OneServerTest(unittest.TestCase):
    servers = 1

    @classmethod
    def setUpClass(cls):
        cls.proxy = CLUSTER[0].proxy("--tenant", f"of-{cls.servers}", servers=cls.servers)
        cls.port = cls.proxy.resp_port

    @classmethod
    def tearDownClass(cls):
        cls.proxy.kill()

    def run_program(self, *arguments, **options):
        child = subprocess.run(arguments, capture_output=True, check=False, timeout=CLIENT_S_MAX,
                               **options)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        return child.stdout

    def test_lmcache_cpp__eight_connections__keep_in_step(self):
        keep_in_step(self, self.port, 400)

    def test_lmcache_redis_url__chunks_of_two_keys__come_back(self):
        chunks_of_two_keys(self, self.port, 60)

    def test_redis_cli__values__go_and_come(self):
        need("redis-cli", "redis-tools")
        cli = ("redis-cli", "-p", str(self.port))
        for protocol in ([], ["-3"]):
            self.assertEqual(self.run_program(*cli, *protocol, "SET", "cli", "one"), b"OK\n")
            self.assertEqual(self.run_program(*cli, *protocol, "MGET", "cli", "no"), b"one\n\n")
            self.assertIn(b"role:master", self.run_program(*cli, *protocol, "INFO"))
        commands = b"".join(encode("SET", "pipe:%d" % i, "v" * i) for i in range(300))
        self.assertIn(b"errors: 0, replies: 300", self.run_program(*cli, "--pipe", input=commands))

    def test_redis_benchmark__set_and_get__run_through(self):
        need("redis-benchmark", "redis-tools")
        for arguments in (["-n", "2000", "-c", "8", "-P", "16"],
                          ["-n", "40", "-c", "8", "-d", "1048576"]):
            output = self.run_program("redis-benchmark", "-p", str(self.port), "-t", "set,get,mset",
                                      "-r", "100", "-q", *arguments)
            self.assertNotIn(b"Error", output)

    def test_resp_load__seeded_commands__are_answered_as_the_model_says(self):
        output = self.run_program(RESP_LOAD, "--port", str(self.port), "--seed", "7", "--commands",
                                  str(COMMANDS), "--connections", "8", "--pipeline", "16", "--keys",
                                  "100", "--no-setnx")
        figures = dict(part.split("=") for part in output.decode().split("\n")[-2].split())
        self.assertEqual((int(figures["commands"]), int(figures["lost"])), (COMMANDS, 0))


class ThreeServersTest(OneServerTest):
    servers = 3

    def test_replies__of_the_script__are_those_of_redis(self):
        different = []
        with RedisServer() as server, server.connect() as redis, \
                self.proxy.connect() as proxy:
            for words in filter(is_served, SCRIPT):
                wanted, got = redis.call(*words), proxy.call(*words)
                if wanted != got:
                    different.append(f"{words}: {wanted[:300]!r} of redis, {got[:300]!r} here")
            self.assertEqual(different, [])
            draw = random.Random(8)
            drawn = [words for words in (random_command(draw) for _ in range(RANDOM_COMMANDS))
                     if is_served(words)]
            for at in range(0, len(drawn), 20):
                batch = drawn[at:at + 20]
                data = b"".join(encode(*words) for words in batch)
                redis.send(data)
                proxy.send(data)
                for words in batch:
                    self.assertEqual(proxy.reply(), redis.reply(), f"{words}, of command {at} on")


if __name__ == "__main__":
    unittest.main()
