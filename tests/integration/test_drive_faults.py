#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself, and goes on to do, when drives fail, wait or hang: memkv-faulty is
memkv with drives that do so when a test writes it into a file."""

import json
import os
import signal
import subprocess
import unittest

from faults import FAULTY
from faulty_node import WAIT_S_MAX, FaultyNodeTest
from node import MEMKV, environment, free_port
from resp import Connection

KEY_BYTES = 70_000


class DriveFaultsTest(FaultyNodeTest):
    def setUp(self):
        super().setUp()
        self.value = os.path.join(self.folder, "value")
        with open(self.value, "wb") as file:
            file.write(os.urandom(KEY_BYTES))

    def await_answer(self, node, path, status):
        return self.await_it(f"{path} with {status}", lambda: next(
            (answer for answer in [node.http(path)] if answer[0] == status), None))[1]

    def put(self, node, key):
        return node.command("put", key, self.value).returncode

    def fail_drive(self, node, drive):
        """Fails the drive's writes, and puts until it is out of service."""
        self.faults.fail(drive, "write")
        puts = iter(range(100_000))

        def failed():
            self.put(node, f"push-{drive}-{next(puts)}")
            return node.status()["storage"]["devices"][drive]["state"] == "failed"

        self.await_it(f"the failure of drive {drive}", failed)

    def test_drives__one_fails_then_all__degraded_then_unhealthy(self):
        node = self.start(2).ready()
        keys = [f"key-{number}" for number in range(24)]
        for key in keys:
            self.assertEqual(self.put(node, key), 0)
        self.assertEqual(node.http("/v1/health")[0], 200)
        self.fail_drive(node, 1)

        self.assertEqual(json.loads(node.http("/v1/health")[1]), {
            "status": "degraded", "rdma_active": False, "drives_online": 1, "drives_offline": 1,
            "drives_total": 2})
        self.assertEqual(node.http("/v1/health")[0], 200)
        self.assertEqual(node.http("/v1/ready"), (200, "ok"))
        self.assertEqual(node.http("/v1/live"), (200, "ok"))
        self.assertIn(("DRIVE_OFFLINE", "d01"), self.codes(node))
        self.assertEqual(self.metric(node, 'memkv_warning{code="DRIVE_OFFLINE"}'), 1)
        self.assertEqual(self.metric(node, 'memkv_warning{code="DRIVE_SLOW"}'), 0)
        self.await_it("the transition", lambda: self.metric(
            node, 'memkv_transport_transitions_total{kind="drive_offline"}') == 1)
        check = node.admin("status", "--check")
        self.assertEqual(check.returncode, 1, check.stdout)

        # Keys of the lost drive are the other's from now on, which does not know them.
        found = [key for key in keys if node.command("exists", key).returncode == 0]
        self.assertGreater(len(found), 0)
        self.assertLess(len(found), len(keys))
        back = os.path.join(self.folder, "back")
        for key in found:
            self.assertEqual(node.command("get", key, back).returncode, 0)
            with open(back, "rb") as file, open(self.value, "rb") as stored:
                self.assertEqual(file.read(), stored.read())
        self.assertIn(0, {self.put(node, f"after-{number}") for number in range(8)})

        self.fail_drive(node, 0)
        status, body = node.http("/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (503, "unhealthy"))
        status, body = node.http("/v1/ready")
        self.assertEqual((status, json.loads(body)["reason"]), (503, "no_writable_drive"))
        self.assertEqual(node.http("/v1/live"), (200, "ok"))
        self.assertEqual(node.admin("status", "--check").returncode, 2)
        self.assertEqual(node.command("exists", found[0]).returncode, 1)
        self.await_it("the miss", lambda: self.metric(
            node, 'memkv_miss_keys_total{reason="drive_offline"}') > 0)
        node.terminate()

    def test_drives__one_recovers_slowly__not_ready_with_progress(self):
        node = self.start(2).ready()
        self.assertEqual(self.put(node, "kept"), 0)
        self.assertEqual(node.terminate(), 0)
        self.faults.stall(1)
        node = self.start(2)

        def half():
            try:
                status, body = node.http("/v1/ready")
            except OSError:
                return False  # it does not listen yet
            return status == 503 and json.loads(body).get("drives_done") == 1

        self.await_it("half of the recovery", half)
        self.assertEqual(json.loads(node.http("/v1/ready")[1]), {
            "reason": "recovering", "progress": 0.5, "drives_done": 1, "drives_total": 2})
        self.assertEqual(node.http("/v1/live"), (200, "ok"))
        status, body = node.http("/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (200, "recovering"))
        self.assertEqual(node.admin("status", "--check").returncode, 1)
        self.faults.stall(1, on=False)
        self.await_answer(node, "/v1/ready", 200)
        self.assertEqual(node.command("exists", "kept").returncode, 0)
        self.assertEqual(node.terminate(), 0)

    def test_drives__are_being_opened__resp_clients_are_told_how_far(self):
        port = free_port()
        arguments = ("node: {shards: 2}\n", "--resp", f"127.0.0.1:{port}")
        node = self.start(2, *arguments).ready()
        with Connection(port) as client:
            self.assertEqual(client.call("SET", "kept", "value"), b"+OK\r\n")
        self.assertEqual(node.terminate(), 0)
        self.faults.stall(1)
        node = self.start(2, *arguments)

        def connect():
            try:
                return Connection(port)
            except OSError:
                return None  # it does not listen yet

        client = self.await_it("the listener", connect)
        self.addCleanup(client.close)
        what = b"-LOADING memkv is loading what its drives hold (%d/2 drives, %d %%)\r\n"
        self.assertIn(client.call("GET", "kept"), (what % (0, 0), what % (1, 50)))
        self.await_it("half of the drives", lambda: client.call("GET", "kept") == what % (1, 50))
        # What needs drives is refused, whole, and the connection stays in step.
        half = what % (1, 50)
        for words in (("SET", "k", b"v" * 100_000), ("MSET", "a", "1", "b", "2"), ("DEL", "kept"),
                      ("MGET", "a", "b"), ("EXISTS", "kept"), ("DBSIZE",), ("SCAN", "0"),
                      ("FLUSHDB",), ("MEMORY", "USAGE", "kept")):
            self.assertEqual(client.call(*words), half, words)
        for words, reply in ((("PING",), b"+PONG\r\n"), (("ECHO", "x"), b"$1\r\nx\r\n"),
                             (("SELECT", "0"), b"+OK\r\n"),
                             (("CLIENT", "SETNAME", "early"), b"+OK\r\n"),
                             (("GET",), b"-ERR wrong number of arguments for 'get' command\r\n")):
            self.assertEqual(client.call(*words), reply, words)
        self.assertTrue(client.call("HELLO", "3").startswith(b"%7\r\n"))
        self.assertTrue(client.call("HELLO", "2").startswith(b"*14\r\n"))
        self.assertIn(b" name=early ", client.bulk("CLIENT", "LIST"))
        info = client.bulk("INFO")
        self.assertIn(b"\r\nloading:1\r\nloading_loaded_perc:50.00\r\n", info)
        self.assertIn(b"\r\nconnected_clients:1\r\n", info)
        with Connection(port) as other:
            self.assertEqual(other.call("QUIT"), b"+OK\r\n")
            self.assertEqual(other.reply(), b"")
        self.faults.stall(1, on=False)
        self.await_it("the drives", lambda: client.call("EXISTS", "kept") == b":1\r\n")
        self.assertEqual(client.bulk("GET", "kept"), b"value")
        self.assertIn(b"\r\nloading:0\r\n", client.bulk("INFO"))
        client.close()
        self.assertEqual(node.terminate(), 0)

    def test_shard__hangs__not_live_until_it_goes_on(self):
        node = self.start(1, "node: {watchdog: 2s}\n").ready()
        self.await_answer(node, "/v1/live", 200)
        self.faults.hang(0)
        client = subprocess.Popen([MEMKV, "put", "--server", node.address, "stuck", self.value],
                                  env=environment(), stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        body = json.loads(self.await_answer(node, "/v1/live", 503))
        self.assertEqual(body["reason"], "stalled")
        self.assertGreaterEqual(body["quiet_seconds"], 2)
        status, body = node.http("/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (503, "unhealthy"))
        self.assertEqual(json.loads(node.http("/v1/ready")[1])["reason"], "stalled")
        self.await_it("the warning", lambda: ("SHARD_STALLED", None) in self.codes(node))
        self.faults.hang(0, False)
        self.await_answer(node, "/v1/live", 200)
        self.await_it("the end of the warning",
                      lambda: ("SHARD_STALLED", None) not in self.codes(node))
        self.assertEqual(client.wait(WAIT_S_MAX), 0)
        self.assertEqual(node.terminate(), 0)

    def test_drive__does_not_answer__stalled_until_it_does(self):
        node = self.start(2).ready()
        self.faults.stall(1)
        clients = [subprocess.Popen(
            [MEMKV, "put", "--server", node.address, f"s-{number}", self.value],
            env=environment(), stderr=subprocess.DEVNULL) for number in range(8)]
        self.await_it("the warning", lambda: ("DRIVE_STALLED", "d01") in self.codes(node))
        self.assertEqual(self.metric(node, 'memkv_warning{code="DRIVE_STALLED"}'), 1)
        self.assertEqual(node.http("/v1/live"), (200, "ok"))
        self.faults.stall(1, on=False)
        self.await_it("the end of the warning",
                      lambda: ("DRIVE_STALLED", "d01") not in self.codes(node))
        for client in clients:
            client.wait(WAIT_S_MAX)
        self.assertEqual(node.terminate(), 0)

    def test_node__told_to_stop_with_requests_in_flight__draining(self):
        node = self.start(1).ready()
        self.faults.stall(0)
        client = subprocess.Popen([MEMKV, "put", "--server", node.address, "late", self.value],
                                  env=environment(), stderr=subprocess.DEVNULL)
        self.addCleanup(client.wait)
        self.await_it("the put", lambda: self.metric(node, "memkv_requests_in_flight") == 1)
        node.signal(signal.SIGTERM)
        body = json.loads(self.await_answer(node, "/v1/ready", 503))
        self.assertEqual(body, {"reason": "draining", "in_flight": 1})
        self.assertEqual(node.http("/v1/live"), (200, "ok"))
        status, body = node.http("/v1/health")
        self.assertEqual((status, json.loads(body)["status"]), (200, "draining"))
        self.faults.heal()
        client.wait(WAIT_S_MAX)  # how it ends depends on how long that took
        self.assertEqual(node.wait(), 0)

    def test_program__that_ships__has_no_faults(self):
        with open(MEMKV, "rb") as file:
            self.assertNotIn(b"MKV_FAULTY_DRIVES", file.read())
        with open(FAULTY, "rb") as file:
            self.assertIn(b"MKV_FAULTY_DRIVES", file.read())


if __name__ == "__main__":
    unittest.main()
