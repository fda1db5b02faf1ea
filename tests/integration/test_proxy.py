#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv proxy` in front of three real daemons, one of which is killed and started again."""

import os
import random
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from node import Node, free_port, run_memkv
from proxy import Proxy
from resp import encode, need, until

SERVERS = 3
# What a server has to answer where nothing is expected to be late: machines may be slow.
PATIENT_MS = 60000
MIB = 1024 * 1024


class Cluster:
    """So many nodes, and proxies in front of them."""

    def __init__(self, servers=SERVERS):
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-cluster-")
        self._ports = []
        while len(self._ports) < servers:
            port = free_port()
            if port not in self._ports:
                self._ports.append(port)
        self.nodes = [self._spawn(index) for index in range(servers)]
        try:
            for node in self.nodes:
                node.ready()
        except AssertionError:
            self.close()
            raise

    def _spawn(self, index):
        return Node("--dev", os.path.join(self._directory.name, str(index)),
                    port=self._ports[index], variables={"MEMKV_MEMORY_MAX_SIZE": "192MiB"})

    def restart(self, index):
        self.nodes[index] = self._spawn(index).ready()

    def proxy(self, *arguments, servers=SERVERS):
        """A proxy in front of the first so many."""
        proxy = Proxy([node.address for node in self.nodes[:servers]], *arguments)
        try:
            return proxy.ready()
        except AssertionError:
            proxy.kill()
            raise

    def close(self):
        for node in self.nodes:
            node.kill()
        self._directory.cleanup()


def is_stopped(pid):
    states = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as file:
            states.append(file.read().rsplit(")", 1)[1].split()[0])
    return set(states) == {"T"}


class ProxyTest(unittest.TestCase):
    """Each test has a proxy of its own and, as its tenant, keys of its own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    @property
    def tenant(self):
        return self.id().rsplit(".", 1)[1].split("__")[1][:70]

    def proxy(self, *arguments, **options):
        return self.cluster.proxy("--tenant", self.tenant, *arguments, **options)

    def held(self, node, keys):
        """Those of the keys that the node has, as a client of its own sees it."""
        lines = node.command("exists", "--tenant", self.tenant, *keys).stdout.splitlines()
        return [line.removeprefix("found ") for line in lines if line.startswith("found ")]

    def test_proxy__commands__are_those_of_one_store(self):
        with self.proxy("--timeout-ms", str(PATIENT_MS)) as proxy, \
                proxy.connect() as client:
            self.assertEqual(client.call("PING"), b"+PONG\r\n")
            self.assertEqual(client.call("SET", "a", "hello"), b"+OK\r\n")
            self.assertEqual(client.call("GET", "a"), b"$5\r\nhello\r\n")
            self.assertEqual(client.call("GETRANGE", "a", "1", "3"), b"$3\r\nell\r\n")
            self.assertEqual(client.call("GETRANGE", "a", "-3", "-1"), b"$3\r\nllo\r\n")
            self.assertEqual(client.call("GETRANGE", "a", "3", "1000000"), b"$2\r\nlo\r\n")
            self.assertEqual(client.call("STRLEN", "a"), b":5\r\n")
            self.assertEqual(client.call("SET", "empty", ""), b"+OK\r\n")
            self.assertEqual(client.call("GET", "empty"), b"$0\r\n\r\n")
            self.assertEqual(client.call("GET", "none"), b"$-1\r\n")
            self.assertEqual(client.call("MSET", *(word for index in range(40) for word in
                                                   (f"k{index}", f"v{index}"))), b"+OK\r\n")
            self.assertEqual(client.call("MGET", "k7", "none", "k39"),
                             b"*3\r\n$2\r\nv7\r\n$-1\r\n$3\r\nv39\r\n")
            self.assertEqual(client.call("EXISTS", "k1", "k2", "none", "k1"), b":3\r\n")
            self.assertEqual(client.call("DEL", "k1", "k2", "none"), b":2\r\n")
            self.assertEqual(client.call("TYPE", "a"), b"+string\r\n")
            self.assertEqual(client.call("SET", "t", "x", "EX", "1000"), b"+OK\r\n")
            self.assertEqual(client.call("SETEX", "u", "1000", bytes(100000)), b"+OK\r\n")
            # What the native protocol has no words for is refused, and changes nothing.
            for words in (("TTL", "a"), ("EXPIRE", "a", "5"), ("PERSIST", "a"),
                          ("SETNX", "a", "x"), ("SETNX", "a", bytes(100000)),
                          ("SET", "a", "x", "NX"), ("SET", "a", "x", "EXAT", "4000000000"),
                          ("SET", "a", bytes(100000), "EX", "5")):
                self.assertIn(b"proxy", client.call(*words), words[:1])
                self.assertEqual(client.call("GET", "a"), b"$5\r\nhello\r\n")
            self.assertEqual(client.call("EXISTS", "k1", "k2"), b":0\r\n")
            self.assertIn(b"server", client.call("HELLO", "3"))
            self.assertEqual(client.call("GET", "none"), b"_\r\n")
            self.assertIn(b"'scan' is not served by a proxy", client.call("SCAN", "0"))
            self.assertIn(b"unknown command", client.call("LPUSH", "a", "b"))
            # What goes through the proxy is what clients of the servers see.
            owners = [node for node in self.cluster.nodes if self.held(node, ["a"])]
            self.assertEqual(len(owners), 1)
            figures = proxy.figures()
            self.assertEqual(figures["role"], "master")
            self.assertEqual((figures["servers"], figures["servers_up"]), ("3", "3"))
            client.close()
            self.assertEqual(proxy.terminate(), 0)

    def test_proxy__values_of_all_lengths__come_back_as_they_went(self):
        draw = random.Random(4)
        lengths = [1, 17, 4096, 18431, 18433, 65536, 69632, 70000, MIB - 1, 3 * MIB + 5,
                   31 * MIB + 917504, 32 * MIB + 1, 60 * MIB]
        with self.proxy("--timeout-ms", str(PATIENT_MS)) as proxy, \
                proxy.connect() as client:
            for length in lengths:
                value = draw.randbytes(length)
                self.assertEqual(client.call("SET", f"v{length}", value), b"+OK\r\n")
                self.assertTrue(client.bulk("GET", f"v{length}") == value, length)
                self.assertTrue(client.bulk("GETRANGE", f"v{length}", length // 2, -1) ==
                                value[length // 2:], length)
            # Beyond half of the memory: refused, and in step.
            reply = client.call("SET", "long", bytes(140 * MIB))
            self.assertIn(b"exceeds", reply)
            self.assertEqual(client.call("PING"), b"+PONG\r\n")
            until(lambda: proxy.figures()["used_memory"] == "0", "all of it is free")

    def test_proxy__long_pipelines_of_long_values__take_turns_for_its_memory(self):
        draw = random.Random(5)
        values = {f"k{index}": draw.randbytes(draw.randrange(1, 3) * 2 * MIB + index)
                  for index in range(24)}
        problems = []

        def work(proxy, seed):
            order = random.Random(seed).sample(sorted(values), len(values))
            with proxy.connect() as client:
                for key in order:
                    client.send(encode("GET", key))
                for key in order:
                    if client.reply() != b"$%d\r\n%s\r\n" % (len(values[key]), values[key]):
                        problems.append(key)

        with self.proxy("--memory", "64MiB", "--timeout-ms", str(PATIENT_MS)) as proxy:
            with proxy.connect() as client:
                for key, value in values.items():
                    self.assertEqual(client.call("SET", key, value), b"+OK\r\n")
            threads = [threading.Thread(target=work, args=(proxy, seed))
                       for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            figures = proxy.figures()
            self.assertEqual(problems, [])
            self.assertGreater(int(figures["memory_waits"]), 0)
            until(lambda: proxy.figures()["used_memory"] == "0", "all of it is free")

    def test_proxy__a_server_is_killed__its_keys_are_misses_until_it_is_back(self):
        keys = [f"key{index}" for index in range(60)]
        with self.proxy("--durability", "durable", "--timeout-ms", str(PATIENT_MS)) as proxy, \
                proxy.connect() as client:
            for key in keys:
                self.assertEqual(client.call("SET", key, key * 3), b"+OK\r\n")
            victim = self.cluster.nodes[1]
            own = self.held(victim, keys)
            self.assertGreater(len(own), 5)
            victim.kill()
            for key in keys:
                value = client.bulk("GET", key)
                self.assertEqual(value, None if key in own else key.encode() * 3)
                self.assertEqual(client.call("EXISTS", key), b":%d\r\n" % (key not in own))
            self.assertEqual(client.call("DEL", own[0])[:5], b"-ERR ")
            self.assertEqual(client.call("SET", own[0], "x")[:5], b"-ERR ")
            self.assertEqual(client.call("MGET", *keys).count(b"$-1\r\n"), len(own))
            figures = proxy.figures()
            self.assertEqual(figures["servers_up"], "2")
            self.assertIn("state=down", figures["server1"])
            self.assertGreaterEqual(int(figures["misses_server_down"]), 2 * len(own))
            self.cluster.restart(1)
            until(lambda: client.bulk("GET", own[1]) == own[1].encode() * 3, "it is asked again")
            for key in keys:
                self.assertEqual(client.bulk("GET", key), key.encode() * 3)

    def test_proxy__a_server_stands_still__what_is_asked_of_it_is_answered_in_time(self):
        keys = [f"key{index}" for index in range(30)]
        with self.proxy("--timeout-ms", "3000") as proxy, proxy.connect() as client:
            for key in keys:
                until(lambda key=key: client.call("SET", key, key) == b"+OK\r\n", "it is there")
            victim = self.cluster.nodes[0]
            own = self.held(victim, keys)
            victim.signal(signal.SIGSTOP)
            until(lambda: is_stopped(victim.pid), "it stands still")
            try:
                until(lambda: client.call("MGET", *keys).count(b"$-1\r\n") == len(own),
                      "its keys are misses")
                self.assertEqual(client.call("DEL", own[0])[:5], b"-ERR ")
                other = next(key for key in keys if key not in own)
                until(lambda: client.bulk("GET", other) == other.encode(), "others are served")
            finally:
                victim.signal(signal.SIGCONT)
            until(lambda: client.bulk("GET", own[1]) == own[1].encode(), "it is asked again")

    def test_proxy__clients_break_off__what_they_held_is_free_again(self):
        draw = random.Random(6)
        with self.proxy("--memory", "64MiB", "--timeout-ms", "4000") as proxy, \
                proxy.connect() as client:
            value = draw.randbytes(3 * MIB)
            for index in range(6):
                until(lambda key=f"k{index}": client.call("SET", key, value) == b"+OK\r\n",
                      "it is there")
            victim = self.cluster.nodes[2]
            victim.signal(signal.SIGSTOP)
            try:
                for _ in range(60):
                    with proxy.connect() as other:
                        half = encode("SET", "half", value)
                        other.send(draw.choice([
                            half[:draw.randrange(len(half))],
                            b"".join(encode("GET", f"k{draw.randrange(6)}") for _ in range(8)),
                            half + encode("EXISTS", "k1", "k2") + encode("GET", "half"),
                            b"".join(encode("SET", f"s{index}", bytes(900)) for index in range(40)),
                            encode("MGET", *(f"s{index}" for index in range(40)))]))
                        if draw.randrange(2):
                            time.sleep(draw.random() * 0.02)
            finally:
                victim.signal(signal.SIGCONT)
            until(lambda: [proxy.figures()[name]
                           for name in ("used_memory", "keys_under_way")] == ["0", "0"],
                  "nothing is held for clients that are gone")
            until(lambda: all(client.bulk("GET", f"k{index}") == value for index in range(6)),
                  "all keys hit")
            client.close()
            self.assertEqual(proxy.terminate(), 0)

    def test_proxy__a_client_reads_nothing__others_are_served(self):
        value = random.Random(7).randbytes(2 * MIB)
        with self.proxy("--memory", "64MiB", "--timeout-ms", str(PATIENT_MS)) as proxy, \
                proxy.connect() as client, proxy.connect() as silent:
            for index in range(4):
                self.assertEqual(client.call("SET", f"k{index}", value), b"+OK\r\n")
            silent.send(b"".join(encode("GET", f"k{index % 4}") for index in range(10000)))
            # More are asked for than there is memory for, and nobody takes what has come.
            until(lambda: int(proxy.figures()["memory_waits"]) > 0, "it waits for memory")
            for index in range(8):
                self.assertTrue(client.bulk("GET", f"k{index % 4}") == value)
            self.assertEqual(client.call("SET", "other", value), b"+OK\r\n")
            # Those were answered beside it, not after it was broken off.
            for index in range(40):
                self.assertTrue(silent.reply() == b"$%d\r\n%s\r\n" % (len(value), value), index)
            silent.close()
            until(lambda: proxy.figures()["used_memory"] == "0", "all of it is free")

    def test_proxy__metrics__tell_of_clients_and_servers(self):
        port = free_port()
        with self.proxy("--metrics", f"127.0.0.1:{port}", "--timeout-ms",
                        str(PATIENT_MS)) as proxy, proxy.connect() as client:
            for index in range(10):
                client.call("SET", f"k{index}", bytes(1000))
            client.call("MGET", "k1", "k2", "none")
            client.call("EXISTS", "k1")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                        timeout=60) as answer:
                text = answer.read().decode()
            need("promtool", "prometheus")
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                     capture_output=True, check=False, timeout=60)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""))
            samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
            self.assertEqual(samples['memkv_proxy_keys_total{op="set"}'], "10")
            self.assertEqual(samples["memkv_proxy_hits_total"], "3")
            self.assertEqual(samples['memkv_proxy_misses_total{reason="server"}'], "1")
            self.assertEqual(samples["memkv_proxy_received_bytes_total"], "10000")
            self.assertEqual(samples["memkv_proxy_connections"], "1")
            for node in self.cluster.nodes:
                self.assertEqual(samples[f'memkv_proxy_server_up{{server="{node.address}"}}'],
                                 "1")
            self.assertEqual(samples['memkv_client_items_total{op="put",status="ok"}'], "10")

    def test_proxy__key__is_asked_of_clients(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "key")
            self.assertEqual(run_memkv("auth", "keygen", "--output", path).returncode, 0)
            with open(path, encoding="ascii") as file:
                key = file.read().strip()
            with self.proxy("--auth-key-file", path, servers=1) as proxy, \
                    proxy.connect() as client:
                self.assertEqual(client.call("GET", "a")[:8], b"-NOAUTH ")
                self.assertEqual(client.call("AUTH", "wrong")[:11], b"-WRONGPASS ")
                self.assertEqual(client.call("AUTH", key), b"+OK\r\n")
                self.assertEqual(client.call("GET", "a"), b"$-1\r\n")

    def test_proxy__stops__commands_in_flight_are_finished(self):
        with self.proxy("--timeout-ms", str(PATIENT_MS)) as proxy, proxy.connect() as client:
            self.assertEqual(client.call("SET", "a", bytes(MIB)), b"+OK\r\n")
            client.send(encode("GET", "a") * 20)
            # With the first reply all of them have been read: they came in one piece.
            replies = [client.reply()]
            proxy.signal(signal.SIGTERM)
            while (reply := client.reply()) != b"":
                replies.append(reply)
            self.assertEqual([len(reply) for reply in replies],
                             [MIB + len("$1048576\r\n\r\n")] * 20)
            client.close()
            self.assertEqual(proxy.wait(), 0)

    def test_proxy__what_it_cannot_begin_with__is_said_in_a_line(self):
        nobody = f"127.0.0.1:{free_port()}"
        for arguments, status, text in (
                (("--servers", nobody), 69, nobody),
                (("--servers", "a:b"), 78, "a:b"),
                (("--severs", nobody), 64, "did you mean '--servers'?"),
                (("--memory", "1MiB"), 64, "is below 64MiB"),
                (("--timeout-ms", "0"), 64, "no number from 1 to"),
                (("--listen", "9902"), 64, "--listen")):
            result = run_memkv("proxy", *arguments)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertIn(text, result.stderr)
        self.assertIn("usage: memkv proxy", run_memkv("proxy", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
