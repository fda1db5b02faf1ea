# SPDX-License-Identifier: Apache-2.0
"""The benchmarks that need nothing but this machine's memory run, small, and say what they must."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

from node import BUILD, SOURCE
from resp import need

sys.path.insert(0, os.path.join(SOURCE, "bench"))
from rounds import Table, interval_90  # noqa: E402


def bench(name, *arguments):
    return subprocess.run([os.path.join(SOURCE, "bench", name), *arguments], capture_output=True,
                          text=True, check=False, timeout=120,
                          env={**os.environ, "MKV_BUILD_DIR": BUILD})


class BenchTest(unittest.TestCase):
    def rows(self, name, *arguments):
        done = bench(name, *arguments, "--json")
        if done.returncode != 0 and "does not sustain" in done.stderr:
            self.skipTest(f"this machine is too slow now: {done.stderr}")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)
        for row in rows:
            for field in ("name", "ours", "theirs", "unit", "ratio"):
                self.assertIn(field, row)
            self.assertGreater(row["ours"], 0)
            self.assertGreater(row["theirs"], 0)
        return {row["name"]: row for row in rows}

    def test_index__small__both_sides_in_turns(self):
        if not os.path.exists(os.path.join(BUILD, "bench/index_bench")):
            self.skipTest("bench/index was not built, for want of liblmdb-dev")
        with tempfile.TemporaryDirectory() as directory:
            rows = self.rows("index", "--runs", "2", "--entries", "20000", "--gets", "3200",
                             "--slots", "50000", "--directory", directory)
            self.assertEqual(os.listdir(directory), [])
        self.assertEqual(rows["get"]["rounds"], 2)
        self.assertEqual(rows["get"]["bar"], 5)
        for name in ("get, 32 keys at a time", "get of an absent key", "insert", "bytes an entry",
                     "get, 50,000 entries against 20,000"):
            self.assertIn(name, rows)

    def test_index__table__is_printed(self):
        if not os.path.exists(os.path.join(BUILD, "bench/index_bench")):
            self.skipTest("bench/index was not built, for want of liblmdb-dev")
        with tempfile.TemporaryDirectory() as directory:
            done = bench("index", "--runs", "1", "--entries", "2000", "--gets", "3200",
                         "--directory", directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^get +[\d.]+ +[\d.]+ +[\d.]+ .*>= 5$")

    def test_capacity__small_drive_in_memory__no_put_refused_and_little_written(self):
        rows = self.rows("capacity", "--part", "refill", "--refill-capacity", str(2 << 30),
                         "--fills", "5")
        self.assertEqual(len(rows), 5)
        for row in rows.values():
            self.assertEqual(row["refused"], 0)
            self.assertGreater(row["full"], 0.6)
            self.assertLess(row["ours"], 1.1)

    def test_capacity__small_store__fills_and_stays_in_its_file(self):
        done = bench("capacity", "--part", "load", "--capacity", str(64 << 20), "--times", "3",
                     "--sizes", "65536,1048576", "--json")
        rows = {row["name"]: row for row in json.loads(done.stdout)}
        self.assertEqual(len(rows), 3)
        # How even it is says nothing beside other tests; the rest has to be right.
        self.assertNotIn("refused", done.stderr)
        self.assertNotIn("more than its size", done.stderr)
        self.assertNotIn("failed", done.stderr)

    def test_fill__small_and_large_stores__are_above_their_bars(self):
        rows = self.rows("fill", "--capacities", f"{4 << 30},{10 ** 12}")
        self.assertEqual(len(rows), 26)
        for row in rows.values():
            if row["bar"] is not None:
                self.assertGreaterEqual(row["ours"], row["bar"], row["name"])
        self.assertEqual(rows["32 MiB on 4 GiB"]["bar"], 0.9)
        self.assertEqual(rows["256 KiB on 1 TB"]["bar"], 0.97)
        self.assertIsNone(rows["64 KiB on 1 TB"]["bar"])
        rows = self.rows("fill", "--capacities", str(16 * 10 ** 12), "--blocks",
                         "1153433,18035507,33554432")
        for row in rows.values():
            self.assertGreaterEqual(row["ours"], 0.97, row["name"])

    def test_fill__table__is_printed(self):
        done = bench("fill", "--capacities", str(4 << 30))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^17\.2 MiB +0\.9\d+$")

    def test_recovery__small__serves_with_all_slots_and_the_whole_ring(self):
        rows = self.rows("recovery", "--slots", "3000,6000", "--ring", "256", "--openings", "2")
        small = rows["open with 3,000 slots and a full ring of 256 blocks"]
        large = rows["open with 6,000 slots and a full ring of 256 blocks"]
        self.assertIsNone(small["bar"])
        self.assertEqual(large["bar"], 1.0)
        self.assertGreater(large["records"], 10 * 256)
        self.assertLess(sum(large["parts"].values()), 1.05 * large["ours"] + 0.001)
        self.assertIn("6,000 slots against 3,000", rows)

    def test_recovery__table__is_printed(self):
        done = bench("recovery", "--slots", "2000", "--ring", "64", "--openings", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ +2,000 +64 +[\d,]+ +[\d.]+ ")

    def test_client__small__both_builds_in_turns(self):
        rows = self.rows("client", "--rounds", "2", "--calls", "500")
        self.assertEqual(len(rows), 4)
        self.assertEqual(rows["waiting, calls a second of processor time"]["bar"], 0.98)

    def test_observability__small__every_recording_and_both_scrapes(self):
        rows = self.rows("observability", "--no-throughput", "--runs", "1", "--calls", "5000",
                         "--block", "65536", "--count", "100")
        for name in ("counter", "histogram", "latency", "sketch", "hot key, kept",
                     "hot key, one of many", "request begins", "request ends", "slow request"):
            self.assertEqual(rows[name]["unit"], "ns")
        for name in ("scrape, text", "scrape, openmetrics"):
            self.assertEqual((rows[name]["bar"], rows[name]["bar_is"]), (1.0, "at most"))
            self.assertGreater(rows[name]["bytes"], 100000)
            self.assertLess(rows[name]["allocations"], 100)
        share = rows["recordings of a request of 64 KiB"]
        self.assertTrue(0 < share["requests"] <= 200)
        self.assertEqual(share["bar"], 0.01)
        self.assertGreater(share["histograms_a_request"], 1)
        injected = rows["the same with 2% injected"]
        self.assertEqual((injected["bar"], injected["bar_is"]), (0.02, "at least"))
        self.assertGreater(injected["ratio"], 0.02)  # what is spun comes on top

    def test_observability__table__is_printed(self):
        done = bench("observability", "--no-throughput", "--runs", "1", "--calls", "1000",
                     "--block", "4096", "--count", "20")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^scrape, text +[\d.]+ ms +5\.00 .*at most 1\.0$")

    def test_native__small__every_side_in_turns(self):
        need("iperf3", "iperf3")
        need("redis-benchmark", "redis-tools")
        rows = self.rows("native", "--rounds", "1", "--sizes", "65536", "--bytes", "16777216",
                         "--get-bytes", "4194304", "--memory", "150994944")
        self.assertEqual(list(rows), ["get of 64 KiB / iperf3", "get of 64 KiB / RESP",
                                      "put of 64 KiB / iperf3", "put of 64 KiB / RESP"])
        for name, row in rows.items():
            self.assertEqual((row["unit"], row["rounds"], row["bar"]), ("MiB/s", 1, None))
            self.assertGreaterEqual(row["cpu_us_ours"], 0)
            self.assertEqual(row["cpu_us_theirs"] is None, name.endswith("iperf3"))

    def test_mixed__small__finds_all_that_was_stored(self):
        need("redis-server", "redis-server")
        rows = self.rows("mixed", "--rounds", "1", "--reads", "500", "--memory", "100663296",
                         "--requests", "110", "--parts", "50", "--rate", "500")
        uniform = rows["uniform reads over 4 x memory"]
        part = rows["trace, memory for 50 % of its blocks"]
        self.assertEqual((uniform["ours"], uniform["bar"], uniform["unit"]), (100, 3, "% hits"))
        self.assertGreater(uniform["ratio"], 3)
        self.assertGreaterEqual(uniform["stored_theirs"], 0.99)
        # Requests at once may each miss what another is about to store; slow ones are many at once.
        self.assertAlmostEqual(part["ours"], part["unbounded"], delta=2)
        self.assertAlmostEqual(part["theirs"], part["unbounded"], delta=2)
        self.assertEqual((part["bar"], part["unbounded_whole_trace"]), (None, 36.64))
        for row in (uniform, part):
            self.assertGreaterEqual(row["stored_ours"], 0.99)
            self.assertGreater(row["p99_ms_ours"], 0)

    def test_rounds__nine_pairs__second_lowest_and_highest_bound_the_interval(self):
        table = Table()
        for ratio in (9, 1, 8, 2, 7, 3, 6, 4, 5):
            table.add("a row", ratio * 10, 10, 1, "B")
        row = next(table.rows())
        self.assertEqual((row["ratio"], row["ours"], row["rounds"], row["unit"]), (5, 50, 9, "B"))
        self.assertEqual((row["ratio_low"], row["ratio_high"]), (2, 8))
        self.assertEqual(interval_90([3, 1, 2]), (1, 3))


if __name__ == "__main__":
    unittest.main()
