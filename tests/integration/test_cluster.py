#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Three daemons on machines of their own (network namespaces), clients of libmemkv and a proxy on a
fourth, under load that checks what it gets: one daemon is cut off, and healed; another is added.

What is predicted, and held:

  all three there         every key hits
  one cut off             its keys miss, all others hit: the hit rate is 1 - its share of the keys
  healed                  every key hits
  a fourth one added      the keys miss whose server it is now, all others hit where they were. It
                          gets 1/4 of K keys: K/4, give or take four standard deviations
"""

import os
import random
import socket
import tempfile
import threading
import time
import unittest

from network import Network
from node import Node
from proxy import Proxy
from resp import Connection, encode, until
from servers import Client, is_partly_down

PORT = 9900
KEYS = 800
CLIENT = 4  # the machine of the clients
TIMEOUT_MS = 3000
# A reply comes at the timeout of its server at the latest; the machine may be slow and loaded.
REPLY_S_MAX = TIMEOUT_MS / 1000 + 30
CONFIG = """
memory:
  max_size: 128MiB
network:
  auth: none
storage:
  mode: file
  block_bytes_max: 1MiB
  drives:
    - media: {path}
      size: 1GiB
log:
  format: text
"""


def value_of(number, generation=0):
    """Content that says whose it is."""
    return random.Random(number * 1000 + generation).randbytes(64 + number * 37 % 12000)


def is_well(before, after):
    return after["ok"] > before["ok"] and all(
        after[name] == before[name] for name in ("down", "unavailable", "unknown"))


class RemoteConnection(Connection):
    """A connection to another machine than this one."""

    def __init__(self, host, port):
        self._socket = socket.create_connection((host, port), timeout=REPLY_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")


class Load:
    """Threads that get keys through the proxy, and compare what comes."""

    def __init__(self, cluster, threads):
        self.gets = self.hits = self.errors = self.wrong = 0
        self.slowest_s = 0.0
        self.problem = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(cluster, seed), daemon=True)
                         for seed in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self, cluster, seed):
        draw = random.Random(seed)
        try:
            with cluster.client() as connection:
                while not self._over.is_set():
                    number = draw.randrange(KEYS)
                    begin = time.monotonic()
                    value = connection.bulk("GET", f"key{number}")
                    with self._lock:
                        self.gets += 1
                        self.hits += value is not None
                        self.wrong += value not in (None, value_of(number))
                        self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
                    time.sleep(0.005)  # two cores are for all of this
        except (OSError, AssertionError) as error:
            self.problem = error

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join(REPLY_S_MAX)
        return not any(thread.is_alive() for thread in self._threads)


class Cluster:
    def __init__(self):
        self.network = Network(CLIENT + 1)
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-cluster-")
        self.list = os.path.join(self._directory.name, "servers")
        self.nodes = []
        self.proxy = None

    def close(self):
        if self.proxy is not None:
            self.proxy.kill()
        for node in self.nodes:
            node.kill()
        self._directory.cleanup()
        self.network.close()

    def start_node(self, index):
        """On the machine of that index, with a listener of RESP for questions of the test."""
        config = os.path.join(self._directory.name, f"{index}.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(path=os.path.join(self._directory.name, f"{index}.store")))
        address = self.network.address(index)
        with self.network.on(index):
            self.nodes.append(Node("--config", config, "--resp", f"{address}:{PORT + 2}",
                                   port=PORT, listen=address))

    def write_list(self, count):
        """Names the first servers; whole at every moment."""
        lines = [f"{self.network.address(index)}:{PORT}\n" for index in range(count)]
        with open(self.list + ".new", "w", encoding="utf-8") as file:
            file.writelines(lines)
        os.rename(self.list + ".new", self.list)

    def start_proxy(self):
        with self.network.on(CLIENT):
            self.proxy = Proxy([], "--discovery", f"file:{self.list}", "--timeout-ms",
                               str(TIMEOUT_MS)).ready()

    def client(self):
        """A client of the proxy, on its machine."""
        with self.network.on(CLIENT):
            return self.proxy.connect()

    def figures(self):
        with self.network.on(CLIENT):
            return self.proxy.figures()

    def holders(self, count):
        """Which server has which key, by asking each of the first `count` itself."""
        held = {}
        for index in range(count):
            with self.network.on(CLIENT):
                connection = RemoteConnection(self.network.address(index), PORT + 2)
            with connection:
                connection.send(b"".join(encode("EXISTS", f"key{number}")
                                         for number in range(KEYS)))
                for number in range(KEYS):
                    if connection.reply() == b":1\r\n":
                        held.setdefault(number, []).append(index)
        return held

    def hits(self):
        """The keys that are there now; every one of them is what was put."""
        found = set()
        with self.client() as connection:
            for number in range(KEYS):
                value = connection.bulk("GET", f"key{number}")
                if value is not None:
                    assert value == value_of(number), f"key{number} is another value"
                    found.add(number)
        return found

    def put(self, numbers):
        """Puts them, those again that a server had no time for."""
        left = list(numbers)
        while left:
            with self.client() as connection:
                connection.send(b"".join(encode("SET", f"key{number}", value_of(number))
                                         for number in left))
                replies = [(number, connection.reply()) for number in left]
            left = [number for number, reply in replies if reply != b"+OK\r\n"]
            problems = {reply for _, reply in replies if reply[:5] not in (b"+OK\r\n", b"-ERR ")}
            assert not problems, problems


class ClusterTest(unittest.TestCase):
    def test_cluster__a_server_is_cut_off_healed_and_one_added__as_predicted(self):
        cluster = Cluster()
        self.addCleanup(cluster.close)
        for index in range(3):
            cluster.start_node(index)
        for node in cluster.nodes:
            node.ready()
        cluster.write_list(3)
        cluster.start_proxy()
        cluster.put(range(KEYS))
        held = cluster.holders(3)
        self.assertEqual([len(held.get(number, [])) for number in range(KEYS)], [1] * KEYS)
        until(lambda: len(cluster.hits()) == KEYS, "every key hits")
        load = Load(cluster, threads=2)
        self.addCleanup(load.end)
        with cluster.network.on(CLIENT):
            native = Client(["-"], 1, in_flight=32, timeout_ms=TIMEOUT_MS, pause_ms=5,
                            MEMKV_DISCOVERY=f"file:{cluster.list}")
        self.addCleanup(native.kill)
        native.wait_for("all is well", is_well)

        victim = 1
        own = {number for number in range(KEYS) if held[number] == [victim]}
        others = set(range(KEYS)) - own
        cluster.network.cut(victim)
        native.wait_for("a part is down, the rest goes on", is_partly_down)
        until(lambda: cluster.hits() == others, "the keys of all others hit")
        with cluster.client() as connection:
            some = min(own)
            self.assertEqual(connection.call("SET", f"key{some}", "other")[:5], b"-ERR ")
            self.assertEqual(connection.call("DEL", f"key{some}")[:5], b"-ERR ")
            self.assertEqual(connection.call("EXISTS", f"key{some}"), b":0\r\n")
        print(f"# cut off: {len(others)} of {KEYS} keys hit, predicted {KEYS - len(own)}")

        cluster.network.heal(victim)
        until(lambda: len(cluster.hits()) == KEYS, "every key hits again")
        native.wait_for("all is well again", is_well)

        cluster.start_node(3)
        cluster.nodes[3].ready()
        cluster.write_list(4)
        until(lambda: cluster.figures()["servers"] == "4", "the proxy has the new list")
        stay = cluster.hits() | cluster.hits()  # a miss may be a server without time
        moved = set(range(KEYS)) - stay
        bound = 4 * (KEYS * 0.25 * 0.75) ** 0.5
        print(f"# a fourth: {len(moved)} of {KEYS} keys move, predicted {KEYS / 4:.0f} "
              f"give or take {bound:.0f}")
        self.assertLess(abs(len(moved) - KEYS / 4), bound)
        cluster.put(sorted(moved))
        until(lambda: len(cluster.hits()) == KEYS, "every key hits, with four")
        now = cluster.holders(4)
        self.assertTrue(all(3 in now[number] for number in moved))
        self.assertTrue(all(now[number] == held[number] for number in stay))
        native.wait_for("all is well with four", is_well)

        self.assertTrue(load.end(), "somebody waits for a reply")
        self.assertIsNone(load.problem)
        self.assertEqual(load.wrong, 0)
        self.assertGreater(load.hits, 0)
        self.assertLess(load.slowest_s, REPLY_S_MAX)
        self.assertEqual(native.end(), 0, native.errors)
        self.assertEqual((native.errors, native.sums["wrong"], native.sums["other"]), ("", 0, 0))
        self.assertLess(native.sums["slowest_ms"], REPLY_S_MAX * 1000)
        self.assertEqual(cluster.proxy.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
