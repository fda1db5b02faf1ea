#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a real daemon knows of single requests, keys and clients equals what clients did."""

import json
import os
import re
import time
import unittest

from load import Load, Store

SMALL = 1000
LARGE = 100_000
DEADLINE_S = 60
PUTS_SMALL, PUTS_LARGE, GETS = 4, 3, 9


class ObservedTest(unittest.TestCase):
    def start(self, configuration=""):
        self.store = Store()
        self.addCleanup(self.store.close)
        with open(self.store.config, "a", encoding="utf-8") as file:
            file.write(configuration)
        self.node = self.store.start()

    def ask(self, path):
        status, body = self.node.http(path)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def until(self, what, holds):
        """Asks until the answer is as it has to be: a request ends a little behind its answer."""
        end = time.monotonic() + DEADLINE_S
        while True:
            answer = what()
            if holds(answer):
                return answer
            self.assertLess(time.monotonic(), end, answer)
            time.sleep(0.05)

    def put(self, key, size, *options):
        path = os.path.join(self.store.directory, "value")
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        self.command("put", *options, key, path)

    def command(self, *arguments, code=0):
        child = self.node.command(*arguments)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)

    def get(self, key, code=0):
        self.command("get", key, os.path.join(self.store.directory, "got"), code=code)

    def figure(self, pattern):
        """The value of the one line of /metrics that the pattern begins."""
        found = re.findall(rf"(?m)^{pattern} ([0-9.e+]+)$", self.node.http("/metrics")[1])
        self.assertEqual(len(found), 1, pattern)
        return float(found[0])

    def counts(self):
        return {row["op"]: row["count"] for row in self.ask("/v1/latency")["operations"]}

    def work(self):
        for i in range(PUTS_SMALL):
            self.put(f"model/a/{i}", SMALL)
        for i in range(PUTS_LARGE):
            self.put(f"model/b/{i}", LARGE)
        for _ in range(GETS):
            self.get("model/b/0")
        self.get("model/a/0")
        self.get("nothing", code=1)
        self.command("exists", "model/a/1")
        self.command("delete", "model/a/2")
        return {"get": GETS, "get_small": 2, "put": PUTS_LARGE, "put_small": PUTS_SMALL,
                "exists": 1, "lookup": 0, "delete": 1, "commit": 0}

    def test_latency__commands__counted_once_each_by_operation_and_size(self):
        self.start()
        done = self.work()
        self.until(self.counts, lambda counts: counts == done)
        for row in self.ask("/v1/latency?p=0,100")["operations"]:
            if row["count"] > 0:
                ladder = [row["percentiles_us"]["0"], row["p50_us"], row["p90_us"], row["p99_us"],
                          row["p999_us"], row["percentiles_us"]["100"]]
                self.assertEqual(ladder, sorted(ladder))
                self.assertGreater(ladder[0], 0)
                self.assertLessEqual(ladder[-1], row["max_us"])
                self.assertLessEqual(row["avg_us"], row["max_us"])
        # The very same requests and times stand in the histogram that is scraped.
        for row in self.ask("/v1/latency")["operations"]:
            family, label = "memkv_command_duration_seconds", rf'\{{op="{row["op"]}"\}}'
            self.until(lambda: self.figure(f"{family}_count{label}"),
                       lambda value: value == row["count"])
            self.assertAlmostEqual(self.figure(f"{family}_sum{label}"),
                                   row["avg_us"] * row["count"] / 1e6, 6)

    def test_hotkeys__one_key_more_than_others__is_first_with_its_count(self):
        self.start("metrics:\n  hotkeys_columns: 64\n  hotkeys_decay: 86400s\n")
        self.work()
        accesses = PUTS_SMALL + PUTS_LARGE + GETS + 2
        answer = self.until(lambda: self.ask("/v1/hotkeys?k=100"),
                            lambda answer: answer["tracked"] == accesses)
        self.assertEqual(answer["decays"], 0)
        first = answer["keys"][0]
        self.assertEqual((first["key"], first["tenant"]), ("model/b/0", "default"))
        self.assertGreaterEqual(first["count"], GETS + 1)
        self.assertLessEqual(first["count"] - first["error"], GETS + 1)
        self.assertEqual(len(answer["keys"]), PUTS_SMALL + PUTS_LARGE + 1)
        self.assertEqual(self.figure("memkv_hotkey_tracked_total"), accesses)

    def test_hotkeys__time_goes_by__counts_are_halved(self):
        self.start("metrics:\n  hotkeys_decay: 1s\n")
        self.get("cold", code=1)
        self.until(lambda: self.ask("/v1/hotkeys"), lambda answer: answer["decays"] >= 2)
        answer = self.ask("/v1/hotkeys?k=1")
        self.assertEqual(answer["tracked"], 1)
        self.assertEqual(answer["keys"][0]["count"], 0)

    def test_slow__threshold_0__each_request_with_its_stages(self):
        self.start("slowlog:\n  threshold_ms: 0\n")
        self.put("slow/key", LARGE, "--tenant", "team")
        self.get("other", code=1)
        answer = self.until(lambda: self.ask("/v1/slow"),
                            lambda answer: len(answer["requests"]) == 2)
        self.assertEqual(answer["threshold_ms"], 0)
        missed, put = answer["requests"]
        self.assertEqual((missed["op"], missed["status"], missed["key"], missed["tenant"]),
                         ("get", "not_found", "other", "default"))
        self.assertEqual((put["op"], put["status"], put["key"], put["tenant"], put["drive"]),
                         ("put", "ok", "slow/key", "team", "d00"))
        self.assertEqual((put["items"], put["bytes_in"], put["bytes_out"]), (1, LARGE, 0))
        self.assertRegex(put["client"], r"^127\.0\.0\.1:\d+$")
        self.assertRegex(put["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertFalse(put["dropped"])
        for request in answer["requests"]:
            self.assertGreater(request["total_ms"], 0)
            self.assertAlmostEqual(sum(request["stages_ms"].values()), request["total_ms"], 6)
        self.assertGreater(put["drive_ms"], 0)
        self.assertLessEqual(put["drive_ms"], put["total_ms"])

    def test_slow__default_threshold__quick_requests_are_not_slow(self):
        self.start("slowlog:\n  threshold_ms: 3600000\n")
        self.get("other", code=1)
        self.until(self.counts, lambda counts: counts["get_small"] == 1)
        self.assertEqual(self.ask("/v1/slow")["requests"], [])

    def test_clients__under_load__listed_with_what_they_did_and_gone_after_it(self):
        self.start()
        load = Load(self.store, "--threads", "3", "--keys", "20", "--bytes-max", "20000",
                    "--seconds", "100")
        load.begin()
        clients = self.until(
            lambda: self.ask("/v1/clients")["clients"],
            lambda clients: len(clients) >= 3 and all(
                client["puts"] and client["hits"] and client["bytes_in"] and client["bytes_out"]
                for client in clients))
        for client in clients:
            self.assertRegex(client["address"], r"^127\.0\.0\.1:\d+$")
            self.assertEqual(client["tenant"], "default")
            self.assertGreaterEqual(client["requests"], client["puts"])
            self.assertGreater(len(client["key_prefixes"]), 0)
        self.assertEqual(len({client["address"] for client in clients}), len(clients))
        load.child.kill()
        load.child.communicate()
        self.until(lambda: self.ask("/v1/clients"), lambda answer: answer["clients"] == [])

    def test_prefixes__what_is_stored__adds_up_to_the_status(self):
        self.start()
        self.work()
        self.put("model/a/0", SMALL, "--tenant", "team")
        blocks = PUTS_SMALL - 1 + PUTS_LARGE
        answer = self.until(lambda: self.ask("/v1/prefixes?depth=2"),
                            lambda answer: answer["complete"] and
                            sum(row["blocks"] for row in answer["prefixes"]) == blocks + 1)
        rows = {(row["tenant"], row["prefix"]): row for row in answer["prefixes"]}
        self.assertEqual(rows["default", "model/a/"]["blocks"], PUTS_SMALL - 1)
        self.assertEqual(rows["default", "model/b/"]["blocks"], PUTS_LARGE)
        self.assertEqual(rows["default", "model/b/"]["bytes"],
                         PUTS_LARGE * 4096 * (1 + -(-LARGE // 4096)))
        self.assertEqual(rows["team", "model/a/"]["blocks"], 1)
        self.assertEqual(answer["other"]["blocks"], 0)
        answer = self.ask("/v1/prefixes?depth=0&tenant=team")
        self.assertEqual([(row["prefix"], row["blocks"]) for row in answer["prefixes"]], [("", 1)])

    def test_drives__under_load__time_in_the_device_is_counted_once(self):
        self.start()
        self.work()
        metrics = self.node.http("/metrics")[1]
        for op, family in (("read", "read"), ("write", "write"), ("flush", "fsync")):
            device = re.search(rf'(?m)^memkv_device_io_duration_seconds_count\{{device="d00",'
                               rf'op="{op}"\}} (\d+)$', metrics)[1]
            uring = re.search(rf"(?m)^memkv_iouring_{family}_us_count (\d+)$", metrics)[1]
            self.assertEqual(device, uring)
            self.assertGreater(int(device), 0)
        self.assertGreater(self.figure(r'memkv_device_io_busy_seconds_total\{device="d00"\}'), 0)
        self.assertGreater(self.figure("memkv_dispatch_duration_seconds_count"), 0)


if __name__ == "__main__":
    unittest.main()
