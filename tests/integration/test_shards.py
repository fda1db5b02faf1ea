#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node of several shards: to its clients it is as one, whatever shard has their connection and
whichever has the drive of a key."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import libmemkv as lib
from load import Load, Store
from node import SOURCE, Node, free_port
from resp import Connection

LONG = os.environ.get("MKV_LONG") == "1"
BUILD_S_MAX = 900
MIB = 1 << 20
WAIT_S_MAX = 120
CLIENTS = 12  # that both of two shards have one of: all but once in 2^11 by the kernel's hash


class ShardStore(Store):
    """Drives of a node with several shards."""

    def __init__(self, shards, drives, block_bytes_max="1MiB", memory="256MiB", drive_gib=1):
        super().__init__(block_bytes_max=block_bytes_max)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"memory: {{max_size: {memory}}}\nlog: {{format: text}}\n"
                       f"node: {{shards: {shards}}}\n"
                       f"storage:\n  mode: file\n  block_bytes_max: {block_bytes_max}\n"
                       "  drives:\n")
            for drive in range(drives):
                path = os.path.join(self.directory, f"d{drive}.memkv")
                file.write(f"    - {{media: {path}, size: {drive_gib + drive}GiB}}\n")


def series(node, name):
    """The values of a family by their labels."""
    text = node.http("/v1/metrics")[1]
    return {match[1]: float(match[2])
            for match in re.finditer(rf"^{name}(\{{.*?\}})? (\S+)$", text, re.MULTILINE)}


def told(node, path):
    return json.loads(node.http(path)[1])


def soon(look):
    """Waits until what is looked for is there: figures are copies of a moment before."""
    end_s = time.monotonic() + WAIT_S_MAX
    while not look():
        if time.monotonic() > end_s:
            raise AssertionError("what was to come did not")
        time.sleep(0.1)


class ShardsTest(unittest.TestCase):
    def setUp(self):
        self.opened = []  # clients
        self.addCleanup(self.leave)

    def store(self, shards, drives, **options):
        store = ShardStore(shards, drives, **options)
        self.addCleanup(store.close)
        return store

    def clients(self, node, count=CLIENTS, tenant=None):
        clients = [lib.Client(node.address, tenant) for _ in range(count)]
        self.opened += clients
        return clients

    def leave(self):
        while self.opened:
            self.opened.pop().close()

    def stop(self, store):
        """Clients leave first: a node that ends waits for those who do not."""
        self.leave()
        store.stop()

    def serve_all(self, shards, drives):
        """Every operation, in batches of keys of all shards, over connections to all shards."""
        store = self.store(shards, drives)
        node = store.start()
        clients = self.clients(node)
        values = {f"key/{number}".encode():
                  random.Random(number).randbytes((10, 3000, 70000, 200001)[number % 4])
                  for number in range(64)}
        items = [lib.item(lib.PUT, key, value) for key, value in values.items()]
        self.assertEqual(set(clients[0].batch(*items[:32])), {lib.OK})
        self.assertEqual(set(clients[1].batch(*items[32:])), {lib.OK})
        # The same again transfers nothing; another value is a conflict, and replaces if it says so.
        self.assertEqual(set(clients[2].batch(*items)), {lib.OK})
        self.assertEqual(clients[3].put(b"key/1", b"other"), lib.CONFLICT)
        self.assertEqual(clients[3].put(b"key/1", b"other", flags=lib.REPLACE), lib.OK)
        values[b"key/1"] = b"other"
        for client in clients if LONG else clients[:5]:
            for key, value in random.Random(7).sample(sorted(values.items()), 16):
                self.assertEqual(client.get(key), value)
            self.assertEqual(client.exists(*values, b"absent"), [True] * 64 + [False])
            self.assertEqual(client.lookup(*values), 64)
            self.assertEqual(client.lookup(*list(values)[:40], b"absent", *values), 40)
        # A value of many segments, which lie on all drives.
        large = random.Random(1).randbytes(21 * MIB + 17)
        self.assertEqual(clients[4].put(b"large", large), lib.OK)
        for client in clients[:4]:
            self.assertEqual(client.get_whole(b"large"), large)
        self.assertEqual(clients[5].delete(b"large", b"key/2", b"absent"),
                         [lib.OK, lib.OK, lib.NOT_FOUND])
        values.pop(b"key/2")
        for client in clients:
            self.assertEqual(client.exists(b"large", b"key/2", b"key/3"), [False, False, True])
        # Reservations are of the connection, wherever their keys belong.
        for number in range(8):
            value = bytes([number]) * 100000
            key = f"reserved/{number}".encode()
            status, name = clients[6].allocate(key, value, reserve_ms=60000)
            self.assertEqual(status, lib.OK)
            self.assertEqual(clients[6].commit(name, value), lib.OK)
            values[key] = value
        self.assertEqual(clients[7].session(5, lib.BEGIN, tier=lib.THINK_ACTIVE), lib.OK)
        self.assertEqual(clients[8].put(b"key/s", b"s" * 5000, session=5), lib.OK)
        self.assertEqual(clients[7].session(5, lib.END), lib.OK)
        values[b"key/s"] = b"s" * 5000
        self.figures_add_up(node, shards, len(values))
        self.stop(store)
        # All of it, after an orderly end and with another number of shards.
        node = store.start("--shards", str(shards - 1))
        client = self.clients(node, 1)[0]
        for key, value in values.items():
            self.assertEqual(client.get(key), value)
        self.assertEqual(client.exists(b"large", b"key/2"), [False, False])
        self.stop(store)

    def figures_add_up(self, node, shards, blocks):
        soon(lambda: sum(series(node, "memkv_shard_blocks").values()) == blocks)
        by_shard = series(node, "memkv_shard_blocks")
        self.assertEqual(len(by_shard), shards)
        drives = node.status()["storage"]["devices"]
        self.assertEqual(sum(drive["blocks"] for drive in drives), blocks)
        self.assertGreater(len([value for value in by_shard.values() if value > 0]), 1)
        requests = series(node, "memkv_shard_commands_total")
        self.assertEqual(len(requests), shards)
        self.assertGreater(len([value for value in requests.values() if value > 0]), 1)
        soon(lambda: sum(series(node, "memkv_requests_in_flight").values()) == 0)
        threads = [name for name in node.thread_names() if name.startswith("memkv-shard")]
        self.assertEqual(len(threads), shards)

    def test_client__of_one_connection__has_one_at_each_shard_it_needs(self):
        store = self.store(3, 2)
        node = store.start()
        client, = self.clients(node, 1)
        keys = [f"key/{number}".encode() for number in range(24)]
        for key in keys:
            self.assertEqual(client.put(key, key * 1000), lib.OK)
        # Two shards have drives; the one that took the first connection may be the third.
        soon(lambda: 2 <= series(node, "memkv_connections_active")["{fabric=\"tcp\"}"] <= 3)
        for key in keys:
            self.assertEqual(client.get(key), key * 1000)
        self.assertEqual(client.exists(*keys), [True] * len(keys))
        shards = series(node, "memkv_shard_commands_total")
        self.assertEqual(sum(shards.values()), 49)
        self.stop(store)

    def test_two_shards__every_operation__as_with_one(self):
        self.serve_all(2, 2)

    @unittest.skipUnless(LONG, "as with two: --long")
    def test_three_shards__drives_of_three_sizes__as_with_one(self):
        self.serve_all(3, 3)

    def test_more_shards_than_drives__those_without__serve_connections(self):
        store = self.store(2, 1)
        node = store.start()
        clients = self.clients(node)
        for number, client in enumerate(clients):
            self.assertEqual(client.put(f"k{number}".encode(), bytes([number]) * 70000), lib.OK)
        for client in clients if LONG else clients[:5]:
            for number in range(len(clients)):
                self.assertEqual(client.get(f"k{number}".encode()), bytes([number]) * 70000)
        soon(lambda: sum(series(node, "memkv_shard_blocks").values()) == len(clients))
        self.assertEqual(sorted(series(node, "memkv_shard_blocks").values()), [0, len(clients)])
        self.stop(store)

    def test_tenants__named_on_any_shard__are_one_and_go_as_one(self):
        store = self.store(2, 2)
        node = store.start()
        for number in range(6):
            for client in self.clients(node, 2, f"team-{number % 3}"):
                keys = [f"k{number}/{i}".encode() for i in range(12)]
                self.assertEqual(set(client.batch(*(lib.item(lib.PUT, key, key * 50)
                                                    for key in keys))), {lib.OK})
                self.assertEqual(client.exists(*keys), [True] * 12)
        self.assertEqual(self.clients(node, 1)[0].exists(b"k1/1"), [False])
        self.assertEqual(node.http("/v1/tenants/team-1", "DELETE")[0], 200)
        for client in self.clients(node, 4, "team-1"):
            self.assertEqual(client.exists(b"k1/1", b"k4/3"), [False, False])
        self.stop(store)
        node = store.start()
        self.assertEqual(self.clients(node, 1, "team-1")[0].exists(b"k1/1", b"k4/3"),
                         [False, False])
        self.assertEqual(self.clients(node, 1, "team-2")[0].exists(b"k2/1", b"k5/3"), [True, True])
        self.stop(store)

    def test_observers__all_shards__are_told_as_one(self):
        store = self.store(2, 2)
        node = store.start()
        clients = self.clients(node)
        for client in clients:
            for number in range(8):
                client.put(f"hot/{number}".encode(), b"x" * 4000)
                client.get(f"hot/{number}".encode())
        # A request is counted when it has ended, which another shard tells behind its answer.
        # A client has a connection to each shard that it needs.
        soon(lambda: sum(client["requests"] for client in told(node, "/v1/clients")["clients"]) ==
             16 * CLIENTS)
        hot = {row["key"]: row for row in told(node, "/v1/hotkeys?count=8")["keys"]}
        self.assertEqual(len(hot), 8)
        # 96 puts and 96 gets of 8 keys: each of them is one key, however many shards counted it.
        self.assertEqual({row["count"] for row in hot.values()}, {2 * CLIENTS})
        self.assertEqual(node.admin("why", "hot/3").returncode, 0)
        self.assertIn("hot/", node.admin("prefixes").stdout)
        self.stop(store)

    def resp_clients(self, port):
        """CLIENTS connections, of which both of two shards have some."""
        clients, places = [], [0]
        # The places of a shard's connections are next to each other, and far from the other's.
        while max(places) - min(places) < 8 * CLIENTS:
            self.assertLess(len(clients), 8 * CLIENTS)
            clients += [Connection(port) for _ in range(CLIENTS)]
            self.opened += clients[-CLIENTS:]
            places = [int(client.call("CLIENT", "ID")[1:]) % (1 << 24) for client in clients]
        return clients

    def test_resp__clients_of_all_shards__are_as_those_of_one(self):
        store = self.store(2, 2)
        port = free_port()
        arguments = ("--resp", f"127.0.0.1:{port}")
        node = store.start(*arguments)
        value = {f"k{number}": random.Random(number).randbytes((0, 9, 3000, 70000)[number % 4])
                 for number in range(24)}
        value["large"] = random.Random(99).randbytes(5 * MIB + 3)
        clients = self.resp_clients(port)
        for number, (key, bytes_) in enumerate(value.items()):
            self.assertEqual(clients[number % len(clients)].call("SET", key, bytes_), b"+OK\r\n")
        for client in clients if LONG else clients[:5]:
            for key, bytes_ in value.items():
                self.assertEqual(client.bulk("GET", key), bytes_)
            self.assertEqual(client.call("EXISTS", *value, "absent"), b":25\r\n")
        many = list(value)[:16]
        expected = b"*17\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(value[key]), value[key])
                                        for key in many) + b"$-1\r\n"
        for client in clients:
            self.assertEqual(client.call("MGET", *many, "absent"), expected)
        # The native protocol finds the same keys, over connections to both shards.
        for client in self.clients(node):
            self.assertEqual(client.get(b"k3"), value["k3"])
        soon(lambda: clients[1].call("DBSIZE") == b":25\r\n")
        page = clients[2].call("SCAN", "0", "COUNT", "1000")
        for key in value:
            self.assertIn(b"\r\n%s\r\n" % key.encode(), page)
        self.assertEqual(clients[0].call("DEL", *many, "absent"), b":16\r\n")
        self.assertEqual(clients[1].call("EXISTS", *value), b":9\r\n")
        # What was asked for on any shard is in what each of them says, at once.
        for client in clients:
            self.assertIn(b"\r\ncmdstat_mget:calls=%d," % len(clients),
                          client.bulk("INFO", "commandstats"))
        # Those of the native protocol have one at each shard that they need.
        connected = re.search(rb"\r\nconnected_clients:(\d+)\r\n",
                              clients[0].bulk("INFO", "clients"))
        self.assertIn(int(connected[1]) - len(clients), range(CLIENTS, 2 * CLIENTS + 1))
        self.assertEqual(clients[2].call("FLUSHDB"), b"+OK\r\n")
        self.assertEqual(clients[3].call("EXISTS", *value), b":0\r\n")
        self.stop(store)

    def test_resp__clients_are_listed_and_killed__on_all_shards(self):
        store = self.store(2, 1)
        port = free_port()
        node = store.start("--resp", f"127.0.0.1:{port}")
        clients = self.resp_clients(port)
        numbers = []
        for number, client in enumerate(clients):
            self.assertEqual(client.call("CLIENT", "SETNAME", f"c{number}"), b"+OK\r\n")
            identity = client.call("CLIENT", "ID")
            numbers.append(int(identity[1:]))
            self.assertIn(b"\r\n$2\r\nid\r\n" + identity, client.call("HELLO", "2"))
            self.assertTrue(client.bulk("CLIENT", "INFO").startswith(b"id=%d " % numbers[-1]))
        self.assertEqual(len(set(numbers)), len(clients))

        def listed(client, *arguments):
            lines = client.bulk("CLIENT", "LIST", *arguments).decode().splitlines()
            return [dict(word.split("=", 1) for word in line.split(" ")) for line in lines]

        for client in clients:
            lines = listed(client)
            self.assertEqual({(int(line["id"]), line["name"]) for line in lines},
                             {(number, f"c{index}") for index, number in enumerate(numbers)})
            self.assertEqual({line["laddr"] for line in lines}, {f"127.0.0.1:{port}"})
            self.assertEqual(len({line["fd"] for line in lines}), len(clients))
        self.assertEqual([line["name"] for line in listed(clients[0], "ID", numbers[7])], ["c7"])
        # One by its number, of either shard; by its address; then all but the one who asks.
        addresses = {line["name"]: line["addr"] for line in listed(clients[0])}
        for number in (1, 2, 3, 4):
            self.assertEqual(clients[0].call("CLIENT", "KILL", "ID", numbers[number]), b":1\r\n")
            self.assertEqual(clients[number].reply(), b"")
            self.assertEqual(clients[0].call("CLIENT", "KILL", "ID", numbers[number]), b":0\r\n")
        self.assertEqual(clients[0].call("CLIENT", "KILL", addresses["c5"]), b"+OK\r\n")
        self.assertEqual(clients[5].reply(), b"")
        self.assertEqual(clients[0].call("CLIENT", "KILL", addresses["c5"]),
                         b"-ERR No such client\r\n")
        self.assertEqual(clients[0].call("CLIENT", "KILL", "LADDR", "127.0.0.1:1"), b":0\r\n")
        self.assertEqual(clients[0].call("CLIENT", "KILL", "LADDR", f"127.0.0.1:{port}"),
                         b":%d\r\n" % (len(clients) - 6))
        for client in clients[6:]:
            self.assertEqual(client.reply(), b"")
        self.assertEqual([line["name"] for line in listed(clients[0])], ["c0"])
        # Who kills himself is told how many there were first.
        self.assertEqual(clients[0].call("CLIENT", "KILL", "ID", numbers[0], "SKIPME", "no"),
                         b":1\r\n")
        self.assertEqual(clients[0].reply(), b"")
        self.assertEqual(node.terminate(), 0)
        store.take()

    def test_connections_max__is_of_all_listeners_and_shards(self):
        store = self.store(2, 1)
        port = free_port()
        with open(store.config, "a", encoding="utf-8") as file:
            file.write("network: {connections_max: 16}\n")
        node = store.start("--resp", f"127.0.0.1:{port}")
        self.opened += [Connection(port) for _ in range(16)]
        for client in self.opened:
            self.assertEqual(client.call("PING"), b"+PONG\r\n")
        with Connection(port) as client:
            self.assertEqual(client.reply(), b"-ERR max number of clients reached\r\n")
            self.assertEqual(client.reply(), b"")
        child = node.command("exists", "k")
        self.assertIn("as many connections as it takes", child.stderr)
        self.assertIn(b"\r\nmaxclients:16\r\n", self.opened[0].bulk("INFO"))
        self.assertIn(b"\r\nrejected_connections:", self.opened[0].bulk("INFO"))
        self.opened.pop().close()
        soon(lambda: "as many" not in node.command("exists", "k").stderr)
        soon(lambda: self.may_ping(port))
        self.stop(store)

    @staticmethod
    def may_ping(port):
        try:
            with Connection(port) as client:
                return client.call("PING") == b"+PONG\r\n"
        except ConnectionError:
            return False  # it was refused while it asked

    def test_kill_under_load__nothing_acknowledged_is_lost(self):
        choice = random.Random(3)
        store = self.store(3, 3, block_bytes_max="128KiB", drive_gib=4)
        load = Load(store, "--threads", "4", "--keys", "32")
        store.start()
        moved, number = 0, 0
        # As often as it takes for something to have been served, however slow the machine is.
        while number < (8 if LONG else 1) or (moved <= 10 and number < 40):
            load.begin("--seconds", "60", "--seed", 100 + number)
            number += 1
            time.sleep(choice.uniform(0.2, 0.5))
            store.kill()
            load.end()
            store.start()
            totals = load.verify()
            self.assertEqual(int(totals.get("missing", 0)), 0)
            moved += int(totals["gets"])
        self.assertGreater(moved, 10)
        self.stop(store)

    def test_stop_under_load__ends_in_order(self):
        store = self.store(2, 2, drive_gib=4)
        load = Load(store, "--threads", "4", "--keys", "32")
        store.start()
        load.begin("--seconds", "60", "--seed", 5)
        time.sleep(0.3)
        self.stop(store)
        load.end()
        store.start()
        self.assertEqual(int(load.verify().get("missing", 0)), 0)
        self.stop(store)

    def test_what_does_not_go_with_several_shards__is_refused_by_name(self):
        store = self.store(2, 2)
        record = os.path.join(store.directory, "record")
        with Node("--config", store.config, "--record", record) as node:
            self.assertNotEqual(node.wait(), 0)
            self.assertIn("--shards 1", "\n".join(node.errors))
        self.assertFalse(os.path.exists(record))
        with Node("--config", store.config, "--shards", "9") as node:
            self.assertNotEqual(node.wait(), 0)
            self.assertIn("Set fewer node.shards", "\n".join(node.errors))


class ThreadSanitizerTest(unittest.TestCase):
    """A daemon with ThreadSanitizer, of which nothing is suppressed, says nothing."""

    @unittest.skipUnless(LONG, "a build of its own: --long")
    def test_shards_under_load__no_race(self):
        directory = tempfile.mkdtemp(prefix="memkv-tsan-")
        self.addCleanup(shutil.rmtree, directory)
        # Two fences of seqlocks are not modelled, which the compiler warns of: so no -Werror.
        for command in (["meson", "setup", directory, SOURCE, "-Db_sanitize=thread",
                         "-Dwerror=false"], ["ninja", "-C", directory, "-j2", "memkv"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  timeout=BUILD_S_MAX)
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)
        for shards in (2, 3):
            with self.subTest(shards=shards):
                self.load(os.path.join(directory, "memkv"), shards)

    def resp(self, port, number, until_s):
        """Commands of one client of RESP over keys of all shards."""
        client = Connection(port)
        draws = random.Random(number)
        while time.monotonic() < until_s:
            key = f"r{draws.randrange(50)}"
            client.call("SET", key, draws.randbytes(draws.choice((10, 3000, 70000, 2 * MIB))))
            client.bulk("GET", key)
            client.call("MGET", "r1", "r2", "r3")
            client.call("EXISTS", "r1", "r2", "r3", "r4")
            if draws.random() < .05:
                client.call("DEL", key, "r1")
                client.bulk("INFO")
                client.call("CLIENT", "LIST")
        client.close()

    def load(self, program, shards):
        store = ShardStore(shards, shards, drive_gib=4)
        self.addCleanup(store.close)
        port = free_port()
        node = Node("--config", store.config, "--resp", f"127.0.0.1:{port}", port=store.port,
                    program=program, variables={"TSAN_OPTIONS": "exitcode=66"})
        store.node = node
        node.wait_for("ready in ", WAIT_S_MAX)
        load = Load(store, "--threads", "4", "--keys", "32")
        load.begin("--seconds", "15", "--seed", 5)
        until_s = time.monotonic() + 12
        threads = [threading.Thread(target=self.resp, args=(port, number, until_s))
                   for number in range(3)]
        for thread in threads:
            thread.start()
        for turn in range(3):
            clients = [lib.Client(node.address, f"team-{number % 3}") for number in range(6)]
            for number, client in enumerate(clients):
                keys = [f"k{number}/{i}".encode() for i in range(20)]
                client.batch(*(lib.item(lib.PUT, key, key * 3000) for key in keys))
                client.get(keys[0])
                client.exists(*keys)
                client.lookup(*keys)
                for path in ("metrics", "status", "clients", "hotkeys", "slow", "latency",
                             "prefixes"):
                    node.http(f"/v1/{path}")
                node.admin("why", "key-1")
            os.kill(node.pid, signal.SIGHUP)
            node.http(f"/v1/tenants/team-{turn}", "DELETE")
            for client in clients:
                client.close()
        for thread in threads:
            thread.join()
        totals = load.end()
        self.assertGreater(int(totals["puts"]), 0)
        self.assertEqual(store.take().terminate(), 0, "\n".join(node.errors))
        self.assertNotIn("ThreadSanitizer", "\n".join(node.errors))


if __name__ == "__main__":
    unittest.main()
