#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A drive that is slower than its siblings: memkv-faulty is memkv with drives that wait when a test
writes it into a file."""

import json
import os
import threading
import unittest

from faulty_node import WAIT_S_MAX, FaultyNodeTest
from libmemkv import OK, PUT, RELAXED, Client, item
from node import run_memkv


class DriveSlowTest(FaultyNodeTest):
    def start(self, drives, extra="", *arguments, storage=""):
        return super().start(drives, extra, *arguments, storage="  slow_after: 6s\n" + storage)

    def load(self, node, ending):
        """Enough for every drive to be judged by each second, at next to no processor time."""
        def put(name):
            client = Client(node.address)
            number = 0
            while not ending.is_set():
                keys = [b"%d-%d-%d" % (name, number, place) for place in range(24)]
                client.batch(*(item(PUT, key, b"v" * 1000) for key in keys))
                number += 1
            client.close()

        threads = [threading.Thread(target=put, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        return threads

    def test_drive__slower_than_its_siblings__warned_of_until_it_is_not(self):
        node = self.start(3).ready()
        # Long against what the others take, however busy this machine is.
        self.faults.delay(2, 500, "write", "read")
        ending = threading.Event()
        threads = self.load(node, ending)
        try:
            self.await_it("the warning", lambda: ("DRIVE_SLOW", "d02") in self.codes(node))
            self.assertEqual(self.metric(node, 'memkv_device_slow{device="d02"}'), 1)
            self.assertEqual(self.metric(node, 'memkv_device_slow{device="d00"}'), 0)
            self.assertEqual(self.metric(
                node, 'memkv_device_state{device="d02",state="slow"}'), 1)
            self.assertEqual(node.http("/v1/ready"), (200, "ok"))
            # What need not be durable stays in memory, and is found there.
            client = Client(node.address)
            self.addCleanup(client.close)
            spared = 'memkv_admission_rejected_keys_total{reason="drive_slow"}'
            for number in range(24):
                self.assertEqual(client.put(b"r%d" % number, b"v" * 1000, flags=RELAXED), OK)
                self.assertEqual(client.get(b"r%d" % number), b"v" * 1000)
            self.assertGreater(self.metric(node, spared), 0)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        self.faults.heal()
        self.await_it("the end of the warning",
                      lambda: ("DRIVE_SLOW", "d02") not in self.codes(node))
        self.assertEqual(node.terminate(), 0)

    def test_drive__slow_for_the_fence__offline_alone_and_comes_back(self):
        audit = os.path.join(self.folder, "audit.log")
        node = self.start(3, f"audit: {{file: {audit}}}\n", storage="  slow_fence: 2s\n").ready()
        self.faults.delay(2, 500, "write", "read")
        ending = threading.Event()

        def states():
            return [drive["state"] for drive in node.status()["storage"]["devices"]]

        threads = self.load(node, ending)
        try:
            self.await_it("the fence", lambda: states()[2] == "offline")
        finally:
            ending.set()
            for thread in threads:
                thread.join()
        self.await_it("the warning", lambda: any(
            warning["code"] == "DRIVE_OFFLINE" and "storage.slow_fence" in warning["message"]
            for warning in node.status()["warnings"]))
        self.assertEqual(states()[:2], ["online", "online"])
        self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "degraded")
        self.assertEqual(node.http("/v1/ready"), (200, "ok"))
        self.assertNotIn(("DRIVE_SLOW", "d02"), self.codes(node))

        def fenced():
            with open(audit, encoding="utf-8") as file:
                return [line for line in file if "storage.slow_fence" in line]

        self.await_it("the audit of its end", lambda: len(fenced()) >= 2)
        self.assertEqual(len(fenced()), 2, fenced())  # it began, and it was done
        self.faults.heal()
        back = run_memkv("admin", "drive", "online", "d02", "--socket", node.socket,
                         "--timeout", str(WAIT_S_MAX))
        self.assertEqual(back.returncode, 0, back.stdout + back.stderr)
        self.assertEqual(states(), ["online"] * 3)
        self.assertNotIn(("DRIVE_OFFLINE", "d02"), self.codes(node))
        self.assertEqual(node.terminate(), 0)
        self.assertTrue(any("is taken offline" in line for line in node.errors), node.errors)


if __name__ == "__main__":
    unittest.main()
