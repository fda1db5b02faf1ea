#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libmemkv over three real daemons, under load from one thread with 2000 calls in flight.

One of them is killed and started again, then stopped where it stands (SIGSTOP) and let go on. What
belongs to the others goes on all the while; what belongs to it is a miss or unavailable, in time;
no byte is wrong; and once it is back, nothing misses it.
"""

import os
import signal
import subprocess
import unittest
import urllib.error
import urllib.request

from load import Store
from node import BUILD, environment, free_port
from servers import CHANGE_S_MAX, SLOWEST_MS_MAX, Client, is_partly_down, is_well


class ServersTest(unittest.TestCase):
    def setUp(self):
        self.stores = []
        for _ in range(3):
            store = Store(store_size="1GiB", block_bytes_max="1MiB")
            self.addCleanup(store.close)
            self.stores.append(store)
            store.start()

    def load(self, connections, **variables):
        addresses = [store.node.address for store in self.stores]
        client = Client(addresses, connections, **variables)
        self.addCleanup(client.kill)
        client.wait_for("all is well", is_well)
        return client

    def finish(self, client):
        client.wait_for("all is well again", is_well)
        self.assertEqual(client.end(), 0, client.errors)
        self.assertEqual(client.errors, "")
        self.assertEqual(client.sums["wrong"], 0)
        self.assertEqual(client.sums["other"], 0)
        self.assertLess(client.sums["slowest_ms"], SLOWEST_MS_MAX)

    def test_a_server_is_killed_and_comes_back(self):
        client = self.load(connections=1)
        self.stores[1].kill()
        client.wait_for("a part is down, the rest goes on", is_partly_down)
        self.stores[1].start()
        self.finish(client)

    def test_a_server_hangs_and_goes_on(self):
        client = self.load(connections=3)
        self.stores[2].node.freeze()
        client.wait_for("a part is down, the rest goes on", is_partly_down)
        os.kill(self.stores[2].node.pid, signal.SIGCONT)
        self.finish(client)

    def test_its_metrics_are_scraped_and_come_to_what_it_did(self):
        port = free_port()
        client = self.load(connections=2, MEMKV_PROMETHEUS_BIND=f"127.0.0.1:{port}")
        ok = client.sums["ok"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                    timeout=CHANGE_S_MAX) as answer:
            self.assertIn("version=0.0.4", answer.headers["Content-Type"])
            text = answer.read().decode()
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=CHANGE_S_MAX)
        self.assertEqual(caught.exception.code, 404)
        caught.exception.close()
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                 capture_output=True, check=False, timeout=CHANGE_S_MAX)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        done = sum(int(value) for name, value in samples.items()
                   if name.startswith("memkv_client_items_total") and 'status="ok"' in name)
        calls = sum(int(value) for name, value in samples.items()
                    if name.startswith("memkv_client_call_duration_seconds_count"))
        self.assertGreaterEqual(done, ok)
        self.assertGreaterEqual(calls, done)
        self.assertEqual(samples["memkv_client_connections"], "6")
        self.assertEqual(samples['memkv_client_connects_total{result="ok"}'], "6")
        self.assertGreater(int(samples['memkv_client_value_bytes_total{op="get"}']), 0)
        self.finish(client)

    def test_the_example_computes_once_and_loads_then(self):
        servers = ",".join(store.node.address for store in self.stores)
        program = os.path.join(BUILD, "tests/integration/prefix_cache")
        for line in ("40 blocks: 0 resident, 0 loaded, 40 computed, 40 stored\n",
                     "40 blocks: 40 resident, 40 loaded, 0 computed, 0 stored\n"):
            done = subprocess.run([program, "conversation", "40"], capture_output=True, text=True,
                                  env=environment(MEMKV_SERVERS=servers), check=False,
                                  timeout=CHANGE_S_MAX)
            self.assertEqual((done.stdout, done.stderr, done.returncode), (line, "", 0))


if __name__ == "__main__":
    unittest.main()
