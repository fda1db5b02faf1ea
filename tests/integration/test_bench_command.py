#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv bench` against a real daemon, over TCP and shared memory: what it prints, that it leaves
nothing behind, that it sees a value that is not its own, and command lines that are refused."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from node import COMMAND_S_MAX, MEMKV, Node, environment, run_memkv
from resp import RespNode

NOBODY = "127.0.0.1:1"
POLL_S = 60
ROW = ["op", "block_bytes", "fabric", "in_flight", "operations", "seconds", "mib_per_s",
       "ops_per_s", "p50_us", "p99_us", "client_cpu_s_per_gib", "host_cpu_s_per_gib"]


class BenchCommandTest(unittest.TestCase):
    """One node for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.shm = os.path.join(cls.directory, "memkv.sock")
        config = os.path.join(cls.directory, "memkv.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"network: {{shm_path: {cls.shm}}}\n")
        cls.node = cls.enterClassContext(
            RespNode("--dev", os.path.join(cls.directory, "data"), "--config", config,
                     cwd=cls.directory))
        cls.node.ready()

    def bench(self, *arguments, code=0, server=None):
        child = run_memkv("bench", "--server", server or self.node.address, *arguments)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)
        return child

    def keys(self):
        """Those of a bench that are durable."""
        found, cursor = [], b"0"
        with self.node.connect() as connection:
            while True:
                reply = connection.call("SCAN", cursor, "MATCH", "memkv-bench/*", "COUNT", "1000")
                found += re.findall(rb"memkv-bench/[0-9a-f]{16}/\d+/\d+", reply)
                cursor = re.match(rb"\*2\r\n\$\d+\r\n(\d+)\r\n", reply)[1]
                if cursor == b"0":
                    return found

    def poll(self, check):
        end = time.monotonic() + POLL_S
        while not check():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def begin(self, *arguments):
        return subprocess.Popen([MEMKV, "bench", "--server", self.node.address, *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment())

    def test_json__of_both_fabrics__rows_of_all_sizes(self):
        for server, fabric in ((self.node.address, "tcp"), (f"unix:{self.shm}", "shm")):
            with self.subTest(fabric):
                done = json.loads(self.bench("--json", "--seconds", "1", "--sizes",
                                             "4KiB,1MiB", server=server).stdout)
                self.assertEqual(list(done), ["server_version", "connections", "durable", "seconds",
                                              "footprint_bytes", "round_trip", "rows"])
                self.assertGreater(done["round_trip"]["operations"], 0)
                self.assertGreaterEqual(done["round_trip"]["p99_us"], done["round_trip"]["p50_us"])
                self.assertEqual([(row["op"], row["block_bytes"]) for row in done["rows"]],
                                 [("write", 4096), ("read", 4096),
                                  ("write", 1 << 20), ("read", 1 << 20)])
                for row in done["rows"]:
                    self.assertEqual(list(row), ROW)
                    self.assertEqual((row["fabric"], row["in_flight"]), (fabric, 16))
                    self.assertGreater(row["operations"], 0)
                    self.assertGreaterEqual(row["seconds"], 1)
                    self.assertLessEqual(row["p50_us"], row["p99_us"])
                    self.assertGreater(row["client_cpu_s_per_gib"], 0)
                    self.assertGreater(row["host_cpu_s_per_gib"], row["client_cpu_s_per_gib"] / 2)
                    moved = row["operations"] * row["block_bytes"] / (1 << 20) / row["seconds"]
                    self.assertAlmostEqual(row["mib_per_s"], moved, delta=moved / 50)
                self.assertEqual(self.keys(), [])

    def test_text__durable_reads_alone__a_table(self):
        lines = self.bench("--seconds", "1", "--sizes", "64KiB", "--ops", "read", "--durable",
                           "--connections", "2", "--in-flight", "4").stdout.splitlines()
        self.assertRegex(lines[0], r"^memkv .*, 2 connections, durable writes, 1 s a line; round "
                                   r"trip [\d.]+ us \(p50\)")
        self.assertEqual(lines[2].split(), ["BLOCK", "OP", "FABRIC", "IN", "FLIGHT", "MiB/s",
                                            "OPS/s", "P50", "us", "P99", "us", "CPU", "s/GiB"])
        self.assertEqual(lines[3].split()[:5], ["64", "KiB", "read", "tcp", "4"])
        self.assertEqual(len(lines), 4)

    def test_footprint__that_is_small__bounds_keys_and_what_is_in_flight(self):
        child = self.begin("--json", "--seconds", "2", "--sizes", "256KiB", "--footprint", "1MiB")
        most = 0
        while child.poll() is None:
            most = max(most, len(self.keys()))
        said, error = child.communicate(timeout=COMMAND_S_MAX)
        self.assertEqual(child.returncode, 0, error)
        self.assertEqual({row["in_flight"] for row in json.loads(said)["rows"]}, {2})
        self.assertIn(most, range(1, 5))
        self.assertEqual(self.keys(), [])

    def test_value__that_somebody_else_wrote__seen(self):
        child = self.begin("--ops", "read", "--seconds", "30", "--sizes", "4KiB", "--footprint",
                           "1MiB")
        self.poll(lambda: len(self.keys()) == 256)
        time.sleep(0.5)  # so that what is written whole has been read once
        other = os.path.join(self.directory, "other")
        with open(other, "wb") as file:
            file.write(os.urandom(4096))
        key = self.keys()[7].decode()
        self.assertEqual(self.node.command("put", "--replace", key, other).returncode, 0)
        said, error = child.communicate(timeout=COMMAND_S_MAX)
        self.assertEqual(child.returncode, 4, said)
        self.assertIn(f"key {key} holds another value than was written", error)
        self.assertEqual(self.keys(), [])

    def test_interrupted__its_keys_are_deleted_and_it_ends_by_the_signal(self):
        child = self.begin("--seconds", "60", "--sizes", "4KiB,16KiB")
        self.poll(self.keys)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=COMMAND_S_MAX)
        self.assertEqual(child.returncode, -signal.SIGINT)
        self.assertIn("interrupted", error)
        self.assertEqual(self.keys(), [])

    def test_server__that_is_not_there__said(self):
        self.assertIn(NOBODY, self.bench(server=NOBODY, code=3).stderr)

    def test_usage__nonsense__refused_by_name(self):
        for arguments, error in (
                (("x",), "it takes no x"), (("--nonsense",), "unknown option --nonsense"),
                (("--sizes",), "missing behind --sizes"), (("--sizes", "4KB"), "not 4KB"),
                (("--sizes", "4KiB,"), "not 4KiB,"), (("--sizes", ""), "with commas between"),
                (("--sizes", "1B"), "not 1B"), (("--sizes", "1GiB"), "not 1GiB"),
                (("--sizes", "17179869184GiB"), "not 17179869184GiB"),
                (("--sizes", "-1KiB"), "not -1KiB"),
                (("--sizes", ",".join(["4KiB"] * 17)), "16 sizes at most"),
                (("--ops", "write,erase"), "not write,erase"), (("--ops", ""), "write, read or"),
                (("--seconds", "0"), "not 0"), (("--seconds", "3601"), "not 3601"),
                (("--in-flight", "257"), "not 257"), (("--connections", "65"), "not 65"),
                (("--footprint", "1KiB"), "not 1KiB"), (("--footprint", "1MiB,"), "not 1MiB,"),
                (("--timeout", "0"), "not 0"), (("--transport", "carrier"), "not carrier")):
            with self.subTest(arguments):
                child = self.bench(*arguments, code=2)
                self.assertIn(error, child.stderr)
                self.assertIn("memkv bench --help", child.stderr)
        child = self.bench("--transport", "shm", code=2)  # of an address that is none of a socket
        self.assertIn("shm", child.stderr)
        self.assertTrue(self.bench("--help").stdout.startswith("usage: memkv bench "))


if __name__ == "__main__":
    unittest.main()
