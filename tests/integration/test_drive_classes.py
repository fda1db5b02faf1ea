#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drives that fail in each way there is: what the node says of it, and that the others serve on."""

import errno
import json
import os
import threading
import unittest

from faults import IO_DEVICE, IO_GONE, IO_READ_ONLY, IO_TIMEOUT
from faulty_node import FaultyNodeTest
from libmemkv import DEADLINE, OK, UNAVAILABLE, Client
from node import run_memkv

KEYS = 96
VALUE = os.urandom(70_000)


class DriveClassesTest(FaultyNodeTest):
    def client(self, node, **options):
        client = Client(node.address, **options)
        self.addCleanup(client.close)
        return client

    def fill_and_restart(self, drives):
        """A node whose blocks are on drives alone."""
        node = self.start(drives).ready()
        client = self.client(node)
        for number in range(KEYS):
            self.assertEqual(client.put(b"k%d" % number, VALUE), OK)
        self.assertEqual(node.terminate(), 0)
        return self.start(drives).ready()

    def drive(self, node, number):
        status, body = node.http(f"/v1/drives/d{number:02}")
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def of_drive(self, node, number):
        """The keys that are on a drive."""
        keys = []
        for key in range(KEYS):
            why = json.loads(node.http(f"/v1/why?key=k{key}")[1])
            if why["drive"] and why["drive"]["name"] == f"d{number:02}":
                keys.append(b"k%d" % key)
        self.assertGreater(len(keys), 0)
        return keys

    def push(self, node, client, number):
        """Puts and gets until the drive has failed."""
        numbers = iter(range(1_000_000))

        def failed():
            key = b"push-%d-%d" % (number, next(numbers))
            client.put(key, VALUE)
            return self.drive(node, number)["state"] == "failed"

        self.await_it(f"the failure of drive {number}", failed)

    def check(self, node, number, failure, error_number):
        name = f"d{number:02}"
        drive = self.drive(node, number)
        self.assertEqual(drive["failure"], failure)
        self.assertEqual(drive["last_error"]["errno"], error_number)
        self.assertNotEqual(drive["next"], [])
        warnings = [warning for warning in node.status()["warnings"]
                    if (warning["code"], warning["device_id"]) == ("DRIVE_OFFLINE", name)]
        self.assertEqual(len(warnings), 1)
        self.assertIn(f"({failure})", warnings[0]["message"])
        self.assertEqual(self.metric(
            node, f'memkv_device_state{{device="{name}",state="failed"}}'), 1)
        self.assertEqual(self.metric(node, f'memkv_device_online{{device="{name}"}}'), 0)
        health = json.loads(node.http("/v1/health")[1])
        self.assertEqual(health["status"], "degraded")
        shown = run_memkv("admin", "drive", "show", name, "--socket", node.socket)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(f"failure     {failure}: ", shown.stdout)

    def test_drives__each_fails_in_its_way__the_class_is_told_and_the_last_serves(self):
        node = self.fill_and_restart(6)
        healthy = self.of_drive(node, 0)
        shrunk = self.of_drive(node, 5)
        client = self.client(node)
        # A file that somebody cut short: reads behind its end say so.
        os.truncate(os.path.join(self.folder, "d05.memkv"), 1 << 20)

        def has_shrunk():
            for key in shrunk:
                self.assertIn(client.get(key), ("io_error", "drive_offline", "unknown", 4))
            return self.drive(node, 5)["state"] == "failed"

        self.await_it("the drive that shrank", has_shrunk)
        self.check(node, 5, "shrunk", 0)
        ways = ((1, IO_GONE, "gone", errno.ENODEV), (2, IO_READ_ONLY, "read_only", errno.EROFS),
                (3, IO_TIMEOUT, "timeout", errno.ETIMEDOUT),
                (4, IO_DEVICE, "io_error", errno.EIO))
        for number, result, failure, error_number in ways:
            self.faults.answer(number, result, "write", "flush")
            self.push(node, client, number)
            self.check(node, number, failure, error_number)
        for key in healthy:
            self.assertEqual(client.get(key), VALUE)
        self.assertIn(OK, {client.put(b"after-%d" % key, VALUE) for key in range(8)})
        listed = json.loads(node.http("/v1/drives")[1])["drives"]
        self.assertEqual([drive["failure"] for drive in listed],
                         [None, "gone", "read_only", "timeout", "io_error", "shrunk"])
        table = run_memkv("admin", "drive", "list", "--socket", node.socket).stdout
        for number, (_, _, failure, _) in enumerate(ways, 1):
            self.assertRegex(table, rf"(?m)^d{number:02} +failed +\S+ +{failure} ")
        node.terminate()

    def test_drive__never_answers__whoever_waits_is_answered_at_his_deadline(self):
        node = self.fill_and_restart(2)
        keys = {number: self.of_drive(node, number) for number in range(2)}
        self.faults.stall(1)
        found = {}

        def get(key):
            client = Client(node.address, timeout_ms=3000)
            found[key] = client.get(key)
            client.close()

        threads = [threading.Thread(target=get, args=(key,)) for key in keys[1][:8]]
        for thread in threads:
            thread.start()
        # Those of the other drive wait for nothing.
        client = self.client(node)
        for key in keys[0][:16]:
            self.assertEqual(client.get(key), VALUE)
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(found.values()), {DEADLINE, "deadline", "drive_offline"})
        # It is the server that said so: a client that gives up by itself counts for nothing.
        self.await_it("misses of the deadline", lambda: self.metric(
            node, 'memkv_miss_keys_total{reason="deadline"}') + self.metric(
                node, 'memkv_miss_keys_total{reason="drive_offline"}') > 0)
        self.await_it("the end of all requests",
                      lambda: self.metric(node, "memkv_requests_in_flight") == 0)

        self.await_it("the class", lambda: self.drive(node, 1)["failure"] == "timeout")
        drive = self.drive(node, 1)
        self.assertEqual(drive["state"], "offline")
        self.assertGreater(drive["queue_depth"], 0)
        self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "degraded")
        # From now on nobody waits for it at all.
        self.assertEqual(client.get(keys[1][0]), "drive_offline")
        puts = {client.put(b"new-%d" % number, VALUE) for number in range(16)}
        self.assertEqual(puts, {OK, UNAVAILABLE})

        self.faults.heal()
        self.await_it("the drive", lambda: self.drive(node, 1)["state"] == "online")
        self.assertIsNone(self.drive(node, 1)["failure"])
        for number in range(2):
            for key in keys[number]:
                self.assertEqual(client.get(key), VALUE)
        self.await_it("the end of the warning", lambda: "DRIVE_STALLED" not in {
            warning["code"] for warning in node.status()["warnings"]})
        self.assertEqual(node.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
