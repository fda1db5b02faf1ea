#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stock clients of Redis on a node: redis-cli, redis-benchmark, redis-py, npm's redis, and what
redis_exporter sends."""

import json
import os
import re
import subprocess
import tempfile
import unittest

import npm
from node import BUILD, SOURCE
from resp import RespNode, encode, need, until

CLIENT_S_MAX = 120
NODE_CLIENT = os.path.join(SOURCE, "tests/integration/redis_client")
NODE_MODULES = os.path.join(BUILD, "redis_client")


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.node = RespNode("--dev", cls.folder.name)
        cls.node.ready()

    @classmethod
    def tearDownClass(cls):
        cls.node.kill()
        cls.folder.cleanup()

    def run_program(self, *arguments, **options):
        child = subprocess.run(arguments, capture_output=True, check=False, timeout=CLIENT_S_MAX,
                               **options)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        return child.stdout

    def cli(self, *arguments, **options):
        need("redis-cli", "redis-tools")
        return self.run_program("redis-cli", "-p", str(self.node.resp_port), *arguments, **options)


class RedisCliTest(ClientsTest):
    def test_redis_cli__values__go_and_come(self):
        for protocol in ([], ["-3"]):
            self.assertEqual(self.cli(*protocol, "SET", "cli:a", "one"), b"OK\n")
            self.assertEqual(self.cli(*protocol, "GET", "cli:a"), b"one\n")
            self.assertEqual(self.cli(*protocol, "GET", "cli:none"), b"\n")
            self.assertEqual(self.cli(*protocol, "MGET", "cli:a", "cli:none"), b"one\n\n")
            self.assertEqual(self.cli(*protocol, "EXISTS", "cli:a", "cli:none"), b"1\n")
            self.assertEqual(self.cli(*protocol, "DEL", "cli:a"), b"1\n")
        value = os.urandom(5 * 1024 * 1024)
        self.assertEqual(self.cli("-x", "SET", "cli:large", input=value), b"OK\n")
        self.assertEqual(self.cli("GET", "cli:large"), value + b"\n")

    def test_redis_cli__info__has_what_tools_read(self):
        text = self.cli("INFO").decode()
        for field in ("redis_version:7.", "memkv_version:", "role:master", "redis_mode:standalone",
                      f"tcp_port:{self.node.resp_port}", f"process_id:{self.node.pid}",
                      "cluster_enabled:0", "connected_slaves:0", "loading:0"):
            self.assertIn(field, text)
        self.assertRegex(text, r"run_id:[0-9a-f]{40}\r\n")
        self.assertRegex(text, r"used_memory_rss:[1-9]")
        self.assertRegex(text, r"maxmemory:[1-9]\d{8}\r\n")
        self.cli("SET", "cli:info", "x")
        self.cli("GET", "cli:info")
        self.cli("GET", "cli:nosuch")
        everything = self.cli("INFO", "everything").decode()
        self.assertRegex(everything, r"cmdstat_get:calls=[1-9]\d*,usec=\d+")
        self.assertRegex(everything, r"cmdstat_info:calls=[1-9]")
        until(lambda: re.search(r"keyspace_hits:[1-9].*keyspace_misses:[1-9]",
                                self.cli("INFO", "stats").decode(), re.DOTALL), "hits are counted")
        until(lambda: b"db0:keys=" in self.cli("INFO", "keyspace"), "keys are counted")

    def test_redis_cli__scan__lists_each_key_once(self):
        keys = sorted(b"scan:%d" % i for i in range(200))
        self.run_script(*[("SET", key, "x") for key in keys])
        until(lambda: sorted(self.cli("--scan", "--pattern", "scan:*").split()) == keys,
              "all keys are listed")
        self.assertEqual(sorted(self.cli("--scan", "--pattern", "scan:1?").split()),
                         sorted(b"scan:%d" % i for i in range(10, 20)))

    def run_script(self, *commands):
        with self.node.connect() as connection:
            for words in commands:
                self.assertNotIn(connection.call(*words)[:1], (b"-", b""), words)

    def test_redis_cli__bigkeys_and_memkeys__walk_all_keys(self):
        self.run_script(("SET", "big:1", "x" * 100000), ("SET", "big:2", "y"))
        until(lambda: int(self.cli("DBSIZE")) >= 2, "keys are durable")
        self.assertIn(b"Biggest string found", self.cli("--bigkeys"))
        self.assertIn(b"-------- summary -------", self.cli("--memkeys"))

    def test_redis_cli__pipe__loads_commands(self):
        commands = b"".join(encode("SET", "pipe:%d" % i, "v" * i) for i in range(1000))
        self.assertIn(b"errors: 0, replies: 1000", self.cli("--pipe", input=commands))
        self.assertEqual(self.cli("STRLEN", "pipe:999"), b"999\n")

    def test_redis_cli__interactive_session__ends_well(self):
        session = (b"SET cli:i 5\nGET cli:i\nCOMMAND COUNT\nNOSUCH a\nCLIENT GETNAME\nHELLO 3\n"
                   b"QUIT\n")
        output = self.cli(input=session)
        self.assertIn(b"OK\n5\n", output)
        self.assertIn(b"ERR unknown command 'NOSUCH', with args beginning with: 'a'", output)

    def test_redis_cli__flushdb__deletes_every_key_of_drive_and_memory(self):
        with tempfile.TemporaryDirectory() as folder, RespNode("--dev", folder) as node:
            node.ready()
            with node.connect() as connection:
                for i in range(300):
                    self.assertEqual(connection.call("SET", f"f:{i}", "v" * i), b"+OK\r\n")
                until(lambda: connection.call("DBSIZE") == b":300\r\n", "keys are durable")
                self.assertEqual(connection.call("FLUSHDB"), b"+OK\r\n")
                self.assertEqual(connection.call("DBSIZE"), b":0\r\n")
                for i in range(300):
                    self.assertEqual(connection.call("GET", f"f:{i}"), b"$-1\r\n")
                self.assertEqual(connection.call("FLUSHALL", "ASYNC"), b"+OK\r\n")
                self.assertEqual(connection.call("FLUSHDB", "NOW"), b"-ERR syntax error\r\n")


    def test_redis_cli__each_command_of_the_table__is_served(self):
        with self.node.connect() as connection:
            names = connection.call("COMMAND", "LIST").split(b"\r\n")[2::2]
            self.assertIn(b"get", names)
            for name in names:
                if name not in (b"quit", b"reset"):
                    reply = connection.call(name)
                    self.assertNotIn(b"unknown command", reply)
                    wanted = connection.call("COMMAND", "INFO", name).split(b"\r\n")[4]
                    if int(wanted[1:]) not in (1, -1):
                        self.assertEqual(reply, b"-ERR wrong number of arguments for '%s' command"
                                         b"\r\n" % name)


class RedisBenchmarkTest(ClientsTest):
    def test_redis_benchmark__set_and_get__run_through(self):
        need("redis-benchmark", "redis-tools")
        for arguments in (["-n", "3000", "-c", "8"], ["-n", "6000", "-P", "16", "-c", "8"],
                          ["-n", "500", "-d", "65536", "-r", "100"], ["-n", "1000", "-3"]):
            output = self.run_program("redis-benchmark", "-p", str(self.node.resp_port), "-t",
                                      "set,get", "--csv", *arguments).decode()
            self.assertIn('"SET"', output, arguments)
            self.assertIn('"GET"', output, arguments)
            self.assertNotIn("rror", output, arguments)


class RedisPyTest(ClientsTest):
    def setUp(self):
        try:
            import redis
        except ImportError:
            self.skipTest("redis-py is not installed; apt-get install python3-redis")
        self.module = redis
        self.redis = redis.Redis(port=self.node.resp_port, client_name="py")
        self.addCleanup(self.redis.close)

    def test_redis_py__values__go_and_come(self):
        value = os.urandom(2 * 1024 * 1024)
        self.assertTrue(self.redis.ping())
        self.assertTrue(self.redis.set("py:a", value))
        self.assertEqual(self.redis.get("py:a"), value)
        self.assertEqual(self.redis.strlen("py:a"), len(value))
        self.assertEqual(self.redis.getrange("py:a", 100, 199), value[100:200])
        self.assertIsNone(self.redis.set("py:a", "x", nx=True))
        self.assertTrue(self.redis.set("py:e", "x", ex=100))
        self.assertIn(self.redis.ttl("py:e"), range(40, 103))
        self.assertTrue(self.redis.set("py:e", "x"))
        self.assertEqual(self.redis.ttl("py:e"), -1)
        self.assertTrue(self.redis.mset({"py:m1": "1", "py:m2": "2"}))
        self.assertEqual(self.redis.mget("py:m1", "py:none", "py:m2"), [b"1", None, b"2"])
        self.assertEqual(self.redis.exists("py:m1", "py:none"), 1)
        self.assertEqual(self.redis.type("py:m1"), b"string")
        self.assertEqual(self.redis.delete("py:m1", "py:m2", "py:none"), 2)

    def test_redis_py__pipelines__answer_in_order(self):
        with self.redis.pipeline(transaction=False) as pipeline:
            for i in range(500):
                pipeline.set(f"py:p{i}", f"value {i}")
                pipeline.get(f"py:p{i}")
            replies = pipeline.execute()
        self.assertEqual(replies, [x for i in range(500) for x in (True, b"value %d" % i)])

    def test_redis_py__commands_about_the_server__are_parsed(self):
        info = self.redis.info()
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["tcp_port"], self.node.resp_port)
        self.assertIn("cmdstat_info", self.redis.info("commandstats"))
        self.assertEqual(self.redis.client_getname(), "py")
        ids = {client["id"]: client for client in self.redis.client_list()}
        self.assertEqual(ids[str(self.redis.client_id())]["name"], "py")
        self.assertEqual(self.redis.config_get("save"), {"save": ""})
        self.assertGreater(int(self.redis.config_get("maxmemory")["maxmemory"]), 0)
        with self.assertRaisesRegex(self.module.ResponseError, "cannot be changed"):
            self.redis.config_set("maxmemory", "1")
        self.assertGreater(self.redis.command_count(), 40)
        self.assertEqual(self.redis.command()["get"]["arity"], 2)
        self.assertIsInstance(self.redis.slowlog_get(), list)
        self.assertGreaterEqual(self.redis.slowlog_len(), 0)
        self.assertEqual(len(self.redis.time()), 2)
        self.assertEqual(self.redis.info("persistence")["rdb_last_bgsave_status"], "ok")

    def test_redis_py__commands_about_keys__are_parsed(self):
        self.redis.set("py:k", "x" * 5000)
        for _ in range(5):
            self.redis.get("py:k")
        self.assertEqual(self.redis.object("encoding", "py:k"), b"raw")
        self.assertGreaterEqual(self.redis.object("freq", "py:k"), 5)
        self.assertGreaterEqual(self.redis.memory_usage("py:k"), 4096)
        self.assertIsNone(self.redis.memory_usage("py:none"))
        hot = self.redis.execute_command("HOTKEYS", 100)
        self.assertIn(b"py:k", [key for key, count, error in hot])
        latency = self.redis.execute_command("STATS.LATENCY", "get_small", "p50", "p99.9")
        figures = dict(zip(latency[::2], latency[1::2]))
        self.assertGreater(figures[b"count"], 0)
        self.assertLessEqual(float(figures[b"p50"]), float(figures[b"p99.9"]))
        memory = self.redis.execute_command("STATS.MEMORY")
        self.assertIn(b"bytes_used", memory)
        until(lambda: b"py:k" in self.redis.scan_iter(match="py:*"), "the key is durable")

    def test_redis_py__names_and_kills__take_effect(self):
        other = self.module.Redis(port=self.node.resp_port)
        self.addCleanup(other.close)
        other.client_setname("victim")
        number = other.client_id()
        self.assertIn(str(number), [client["id"] for client in self.redis.client_list()
                                    if client["name"] == "victim"])
        self.assertEqual(self.redis.client_kill_filter(_id=number), 1)
        until(lambda: "victim" not in [client["name"] for client in self.redis.client_list()],
              "the connection is closed")
        self.assertTrue(self.redis.ping())


class NodeRedisTest(ClientsTest):
    def test_npm_redis__resp3__reads_what_it_wrote(self):
        npm.install(NODE_CLIENT, NODE_MODULES, "the redis client of npm")
        output = self.run_program(
            "node", os.path.join(NODE_CLIENT, "client.js"), str(self.node.resp_port),
            env={**os.environ, "NODE_PATH": os.path.join(NODE_MODULES, "node_modules")})
        seen = json.loads(output)
        unknown = seen.pop("unknown")
        self.assertIn("unknown command 'NOSUCH', with args beginning with: 'x'", unknown)
        config = seen.pop("config")
        self.assertEqual(config["maxmemory-policy"], "allkeys-lru")
        self.assertEqual(seen, {
            "ping": "PONG", "set": "OK", "get": "héllo", "missing": None, "bytes_equal": True,
            "exists": 1, "mget": ["héllo", None], "many_set": True, "many_get": True,
            "name": "tester", "info": 3, "replication": True, "ping_after": "PONG", "deleted": 1,
            "errors": []})


class ExporterTest(ClientsTest):
    """What redis_exporter sends at each scrape, and what it needs of the replies."""

    def test_exporter__its_commands__are_answered(self):
        with self.node.connect() as connection:
            connection.call("SET", "e:k", "v")
            connection.call("GET", "e:k")
            self.assertEqual(connection.call("CLIENT", "SETNAME", "redis_exporter"), b"+OK\r\n")
            config = connection.call("CONFIG", "GET", "*").split(b"\r\n")[2::2]
            settings = dict(zip(config[::2], config[1::2]))
            self.assertEqual(settings[b"databases"], b"1")
            self.assertIn(b"maxclients", settings)
            self.assertIn(b"network.address", settings)
            for sections in ([], ["ALL"], ["COMMANDSTATS"], ["default", "keyspace"]):
                text = connection.bulk("INFO", *sections)
                for line in text.split(b"\r\n"):
                    self.assertRegex(line, rb"^$|^# \w+$|^[^:]+:.*$")
            self.assertEqual(connection.call("LATENCY", "LATEST"), b"*0\r\n")
            self.assertIn(b"histogram_usec", connection.call("LATENCY", "HISTOGRAM"))
            self.assertRegex(connection.call("SLOWLOG", "LEN"), rb"^:\d+\r\n$")
            self.assertRegex(connection.call("SLOWLOG", "GET", "1"), rb"^\*[01]\r\n")
            lines = connection.bulk("CLIENT", "LIST").decode().strip().split("\n")
            own = [line for line in lines if "name=redis_exporter" in line]
            self.assertEqual(len(own), 1)
            fields = dict(part.split("=", 1) for part in own[0].split(" "))
            self.assertRegex(fields["cmd"], r"^client(\|list)?$")
            self.assertIn("obl", fields)
            self.assertTrue(connection.call("COMMAND", "INFO", "get", "set").startswith(b"*2\r\n"))


if __name__ == "__main__":
    unittest.main()
