#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that come and go, and a client under load that finds them.

Daemons register themselves in the real etcd; one is killed, comes back, and is stopped; etcd itself
is away for a while. A file and a name are followed by the same client. Not one byte is wrong, no
call hangs, and what belongs to the servers that stay goes on.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from etcd import Etcd
from load import Store
from node import Node, environment, free_port, run_memkv
from servers import CHANGE_S_MAX, Client

LONG = os.environ.get("MKV_LONG") == "1"
REFRESH_MS = 200
IN_FLIGHT = 500
PAUSE_MS = 3  # the machine is for others, too
# Nothing is answered as late as this: who is gone refuses connections, and machines may be slow.
TIMEOUT_MS = 30000
SLOWEST_MS_MAX = TIMEOUT_MS + 30000
PREFIX = "/memkv-test/"
# A node that has no time for so long is taken from the list, which no test wants.
LEASE_S = 4


def until(what, condition):
    """What the condition comes to, as soon as that is something."""
    end = time.monotonic() + CHANGE_S_MAX
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not seen in {CHANGE_S_MAX} s: {what}")
        time.sleep(0.05)


def is_well(before, after):
    return after["ok"] > before["ok"] + IN_FLIGHT and all(
        after[name] == before[name] for name in ("down", "unavailable", "unknown"))


class DiscoveryCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-discovery-")
        self.addCleanup(shutil.rmtree, self.directory)

    def write(self, name, text):
        """A whole file, in its place at once."""
        path = os.path.join(self.directory, name)
        with open(path + ".next", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".next", path)
        return path

    def store(self, cluster=""):
        store = Store(store_size="1GiB")
        self.addCleanup(store.close)
        if cluster:
            with open(store.config, "a", encoding="utf-8") as file:
                file.write(cluster)
        store.start()
        return store

    def load(self, discovery, prefix=()):
        config = self.write("client.yaml", f"discovery: '{discovery}'\n"
                                           f"discovery_refresh_ms: {REFRESH_MS}\n")
        client = Client(None, 1, prefix, in_flight=IN_FLIGHT, timeout_ms=TIMEOUT_MS,
                        pause_ms=PAUSE_MS, MEMKV_CONFIG=config)
        self.addCleanup(client.kill)
        client.wait_for("all is well", is_well)
        return client

    def finish(self, client):
        client.wait_for("all is well in the end", is_well)
        self.assertEqual(client.end(), 0, client.errors)
        self.assertEqual(client.errors, "")
        self.assertEqual(client.sums["wrong"], 0)
        self.assertEqual(client.sums["other"], 0)
        self.assertLess(client.sums["slowest_ms"], SLOWEST_MS_MAX)

    def check_nothing_lost(self, client, changes):
        """No server was away: what is refused is a DELETE whose key has moved meanwhile."""
        self.assertEqual((client.sums["down"], client.sums["unknown"]), (0, 0), client.sums)
        self.assertLessEqual(client.sums["unavailable"], changes * IN_FLIGHT)

    @staticmethod
    def puts(node):
        return json.loads(node.http("/v1/status")[1])["requests"]["put"]

    def wait_served(self, node):
        """Until the node has been asked something more."""
        before = self.puts(node)
        until("the node is asked", lambda: self.puts(node) > before)


class ListTest(DiscoveryCase):
    def test_a_file_is_followed_and_no_call_is_lost(self):
        stores = [self.store() for _ in range(3)]
        lines = [store.node.address + "\n" for store in stores]
        path = self.write("servers", lines[0] + lines[1])
        client = self.load(f"file:{path}")
        self.assertEqual(self.puts(stores[2].node), 0)
        self.write("servers", "".join(lines))
        self.wait_served(stores[2].node)
        self.write("servers", lines[1] + lines[2].replace("\n", "*3\n"))
        # What is in flight to the first is answered; then nothing more comes to it.
        until("the first is let go", lambda: json.loads(
            stores[0].node.http("/v1/status")[1])["fabric"]["tcp"]["active_connections"] == 0)
        os.unlink(path)
        time.sleep(3 * REFRESH_MS / 1000)
        self.finish(client)
        self.check_nothing_lost(client, changes=2)

    def test_a_name_is_followed(self):
        hosts = os.path.join(self.directory, "hosts")
        with open(hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n127.0.0.1 kv.test\n")
        # The file of names is this client's own.
        prefix = ["unshare", "--mount", "--map-root-user", "sh", "-c",
                  'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this machine does not let tests have a name space of mounts")
        port = free_port()
        nodes = []
        for number in (1, 2):
            node = Node("--dev", os.path.join(self.directory, f"dev-{number}"), port=port,
                        listen=f"127.0.0.{number}")
            self.addCleanup(node.__exit__)
            nodes.append(node)
        for node in nodes:
            node.ready()
        client = self.load(f"dns:kv.test:{port}", prefix)
        self.assertEqual(self.puts(nodes[1]), 0)
        with open(hosts, "a", encoding="ascii") as file:
            file.write("127.0.0.2 kv.test\n")
        self.wait_served(nodes[1])
        self.finish(client)
        self.check_nothing_lost(client, changes=1)


class EtcdTest(DiscoveryCase):
    """Each test leaves the list empty, and etcd running."""

    @classmethod
    def setUpClass(cls):
        cls.etcd = Etcd()
        cls.addClassCleanup(cls.etcd.close)
        cls.etcd.start()
        cls.discovery = f"etcd:{cls.etcd.url}{PREFIX[:-1]}"

    def tearDown(self):
        for name in self.etcd.names(PREFIX):
            self.etcd.delete(PREFIX + name)

    def member(self, weight=1):
        return self.store(f"cluster:\n  discovery: {self.discovery}\n  lease_ttl: {LEASE_S}s\n"
                          f"  weight: {weight}\n")

    def wait_names(self, *stores):
        wanted = sorted(f"127.0.0.1:{store.port}" for store in stores)
        until(f"{wanted} in etcd", lambda: self.etcd.names(PREFIX) == wanted)

    @staticmethod
    def cluster(node):
        return json.loads(node.http("/v1/status")[1])["cluster"]

    @staticmethod
    def warnings(node):
        status = json.loads(node.http("/v1/status")[1])
        return [warning["code"] for warning in status["warnings"]]

    def test_a_node_is_killed_and_comes_back_and_another_one_is_stopped(self):
        stores = [self.member(), self.member(weight=2)]
        self.wait_names(*stores)
        self.assertEqual(self.etcd.keys(PREFIX)[stores[1].node.address],
                         {"address": stores[1].node.address, "weight": 2,
                          "node": self.etcd.keys(PREFIX)[stores[1].node.address]["node"]})
        told = self.cluster(stores[1].node)
        self.assertEqual((told["discovery"], told["address"], told["weight"], told["registered"],
                          told["problem"]),
                         (self.discovery, stores[1].node.address, 2, True, None))
        self.assertIn(f"registered as {stores[1].node.address}",
                      stores[1].node.admin("status").stdout)
        client = self.load(self.discovery)
        stores[0].kill()
        until("a part is down", lambda: client.sums["down"] > 0)
        self.wait_names(stores[1])  # its lease is over
        client.wait_for("all is well with one", is_well)
        stores[0].start()
        self.wait_names(*stores)
        self.wait_served(stores[0].node)
        stores[1].node.wait_for("registered as")
        # The one that stops takes itself from the list before its lease is over.
        node = stores[1].node
        stores[1].stop()
        self.assertIn("is in the list of servers no more", Store.text(node))
        self.wait_names(stores[0])
        self.finish(client)

    @unittest.skipUnless(LONG, "etcd is killed and started again only with --long")
    def test_etcd_is_away_and_nobody_is_lost(self):
        store = self.member()
        self.wait_names(store)
        client = self.load(self.discovery)
        # Somebody deletes the key: it is put again, and said.
        self.etcd.delete(PREFIX + store.node.address)
        store.node.wait_for("somebody has changed or deleted the key", CHANGE_S_MAX)
        self.wait_names(store)
        self.etcd.kill()
        until("a warning", lambda: "NOT_REGISTERED" in self.warnings(store.node))
        self.assertFalse(self.cluster(store.node)["registered"])
        time.sleep(LEASE_S + 1)
        client.wait_for("all is well without etcd", is_well)
        self.etcd.start()
        until("no warning", lambda: "NOT_REGISTERED" not in self.warnings(store.node))
        self.wait_names(store)
        self.finish(client)
        self.check_nothing_lost(client, changes=0)

    def test_commands_take_a_discovery(self):
        store = self.member()
        self.wait_names(store)
        path = self.write("value", "the value")
        self.etcd.put("/memkv-test-other/x", "no server")
        for arguments, output in ((("put", "key", path), ""), (("get", "key", "-"), "the value")):
            done = run_memkv(arguments[0], "--discovery", self.discovery, *arguments[1:])
            self.assertEqual((done.returncode, done.stdout), (0, output), done.stderr)
        done = run_memkv("get", "key", env=environment(MEMKV_DISCOVERY=self.discovery))
        self.assertEqual((done.returncode, done.stdout), (0, "the value"), done.stderr)
        done = run_memkv("get", "--timeout", "2", "--discovery",
                         f"etcd:{self.etcd.url}/nobody", "key")
        self.assertEqual(done.returncode, 3)
        self.assertIn("there is no server below /nobody/", done.stderr)
        done = run_memkv("get", "--server", "a:1", "--discovery", self.discovery, "key")
        self.assertEqual(done.returncode, 2)
        self.assertIn("servers and discovery are both given", done.stderr)


if __name__ == "__main__":
    unittest.main()
