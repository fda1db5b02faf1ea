#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""LMCache's clients, and seeded commands by the hundred thousand: also on a node that is killed."""

import asyncio
import os
import random
import subprocess
import tempfile
import time
import unittest

import lmcache_resp
from node import BUILD
from resp import RespNode

LONG = os.environ.get("MKV_LONG") == "1"
RESP_LOAD = os.path.join(BUILD, "tests/integration/resp_load")
LOAD_S_MAX = 600
# A share of the million for every day.
COMMANDS = 1000000 if LONG else 50000
KILL_COMMANDS = 1000000 if LONG else 50000
KILLS = 12 if LONG else 3
# Fewer keys than a small store has slots: none of them is evicted.
SHAPE = ["--connections", "32", "--pipeline", "32", "--keys", "250"]
# As LMCache's client in C++: one command at a time.
SHAPE_CPP = ["--connections", "8", "--pipeline", "1"]
CPP_COMMANDS = 100000 if LONG else 10000
MIB = 1024 * 1024


def keep_in_step(test, port, steps):
    """LMCache's client in C++ over eight connections, whose answers a model knows."""
    draw = random.Random(11)
    clients = [lmcache_resp.CppClient(port) for _ in range(8)]
    held = {}
    for step in range(steps):
        client = clients[step % len(clients)]
        index = draw.randrange(64)
        key = lmcache_resp.chunk_key("model", index % 4, index % 3, index, "salt")
        size = 1000 + 997 * index
        action = draw.random()
        if action < 0.3:
            held[key] = draw.randbytes(size)
            client.set(key, held[key])
        elif action < 0.4:
            test.assertEqual(client.delete(key), held.pop(key, None) is not None)
        elif client.exists(key):
            test.assertEqual(client.get(key, size), held[key])
        else:
            test.assertNotIn(key, held)
    for client in clients:
        client.close()


def chunks_of_two_keys(test, port, count):
    """LMCache's redis:// client, on many connections."""
    try:
        import redis.asyncio as redis
    except ImportError:
        test.skipTest("redis-py is not installed; apt-get install python3-redis")

    async def work():
        pool = redis.ConnectionPool(host="127.0.0.1", port=port, max_connections=150)
        connection = redis.Redis(connection_pool=pool)
        client = lmcache_resp.RedisUrlClient(connection)
        draw = random.Random(5)

        async def one(index):
            key = lmcache_resp.chunk_key("llama", index % 8, 0, index)
            metadata, data = draw.randbytes(28), draw.randbytes(64 * 1024 + index)
            test.assertIsNone(await client.get(key))
            await client.put(key, metadata, data)
            test.assertTrue(await client.contains(key))
            test.assertEqual(await client.get(key), (metadata, data))
            if index % 2:
                await client.remove(key)
                test.assertFalse(await client.contains(key))

        await asyncio.gather(*(one(index) for index in range(count)))
        await connection.close()
        await pool.disconnect()

    asyncio.run(work())


class CppClientTest(unittest.TestCase):
    def test_lmcache_cpp__chunks_of_its_sizes__come_back_as_they_went(self):
        with tempfile.TemporaryDirectory() as folder, RespNode("--dev", folder) as node:
            node.ready()
            client = lmcache_resp.CppClient(node.resp_port)
            chunks = {lmcache_resp.chunk_key("llama", 0, 0, index): os.urandom(size)
                      for index, size in enumerate([MIB // 2, MIB, 4 * MIB, 10 * MIB, 20 * MIB])}
            for key, value in chunks.items():
                self.assertFalse(client.exists(key))
                self.assertIsNone(client.get(key, len(value)))
                client.set(key, value)
            for key, value in chunks.items():
                self.assertTrue(client.exists(key))
                self.assertEqual(client.get(key, len(value)), value)
            for key, value in chunks.items():
                self.assertTrue(client.delete(key))
                self.assertFalse(client.delete(key))
                self.assertIsNone(client.get(key, len(value)))
            client.close()

    def test_lmcache_cpp__eight_connections__keep_in_step(self):
        with tempfile.TemporaryDirectory() as folder, RespNode("--dev", folder) as node:
            node.ready()
            keep_in_step(self, node.resp_port, 1500)


class RedisUrlClientTest(unittest.TestCase):
    def test_lmcache_redis_url__chunks_of_two_keys__come_back(self):
        with tempfile.TemporaryDirectory() as folder, RespNode("--dev", folder) as node:
            node.ready()
            chunks_of_two_keys(self, node.resp_port, 150)


def load(port, *arguments):
    return subprocess.Popen([RESP_LOAD, "--port", str(port), *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class SeededCommandsTest(unittest.TestCase):
    def finish(self, child, node=None):
        output, _ = child.communicate(timeout=LOAD_S_MAX)
        detail = "" if node is None else "\n".join(node.errors[-20:])
        self.assertEqual(child.returncode, 0, output + detail)
        return dict(part.split("=") for part in output.split("\n")[-2].split())

    def test_resp_load__seeded_commands__are_answered_as_the_model_says(self):
        with tempfile.TemporaryDirectory() as folder, RespNode("--dev", folder) as node:
            node.ready()
            for seed, shape, commands in ("1", SHAPE, COMMANDS), ("2", SHAPE_CPP, CPP_COMMANDS):
                figures = self.finish(load(node.resp_port, "--seed", seed, "--commands",
                                           str(commands), *shape), node)
                self.assertEqual(int(figures["commands"]), commands)
                self.assertEqual(int(figures["lost"]), 0)
                self.assertGreater(int(figures["hits"]), commands // 10)
                print(f"# {figures}")

    def test_resp_load__the_node_is_killed_again_and_again__nothing_is_wrong(self):
        draw = random.Random(3)
        with tempfile.TemporaryDirectory() as folder:
            node = RespNode("--dev", folder).ready()
            child = load(node.resp_port, "--seed", "2", "--survive", "--commands",
                         str(KILL_COMMANDS), *SHAPE)
            try:
                for _ in range(KILLS):
                    time.sleep(draw.uniform(0.2, 0.5))
                    if child.poll() is not None:
                        break
                    node.kill()
                    node = RespNode("--dev", folder, port=node.port,
                                    resp_port=node.resp_port).ready()
                figures = self.finish(child, node)
                self.assertGreater(int(figures["reconnects"]), 0)
                print(f"# {figures}")
            finally:
                child.kill()
                child.wait()
                node.kill()


if __name__ == "__main__":
    unittest.main()
