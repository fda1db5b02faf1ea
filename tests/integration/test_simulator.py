#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simulator finds nothing in what ships, everything that was planted, and always the same."""

import json
import os
import statistics
import subprocess
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
CLANG_BUILD = os.environ.get("MKV_CLANG_BUILD_DIR", os.path.join(SOURCE, "build-clang"))
LONG = os.environ.get("MKV_LONG") == "1"

RUN_SEEDS = (1, 2, 3)
RUN_SECONDS = 300 if LONG else 12
LANES_SECONDS = 60 if LONG else 6
REPLAY_SEEDS = [*range(1, 65 if LONG else 9), 67]  # the last has lanes
CANARIES_MIN = 50
CANARY_HUNTS = 5


def simulate(build, *arguments):
    """Runs the simulator and returns what its JSON says; its own messages are shown if it fails."""
    child = subprocess.run(
        [os.path.join(build, "memkv-sim"), *arguments, "--json"],
        capture_output=True, text=True, check=False,
    )
    if child.returncode != 0:
        raise AssertionError(
            f"memkv-sim {' '.join(arguments)} exited with {child.returncode}:\n"
            f"{child.stdout}{child.stderr}"
        )
    return json.loads(child.stdout)


class SimulatorTest(unittest.TestCase):
    def test_run__what_ships__has_no_failure(self):
        for seed in RUN_SEEDS:
            with self.subTest(seed=seed):
                report = simulate(BUILD, "run", "--seed", str(seed), "--seconds", str(RUN_SECONDS))
                self.assertFalse(report["failures"])
                self.assertGreater(report["operations"], 0)
                self.assertGreater(report["crashes_per_second"], 0)
                self.assertGreater(report["distinct_images"], 1)
                self.assertGreater(report["oracle_evaluations"], 0)
                print(f"seed {seed}: {report['crashes_per_second']} crashes a second")

    def test_run__lanes__fail_in_every_way_and_break_no_promise(self):
        for seed in (1, 5000):
            report = simulate(BUILD, "run", "--scenario", "lanes", "--seed", str(seed), "--seconds",
                              str(LANES_SECONDS))
            self.assertFalse(report["failures"])
            world = {world["name"]: world for world in report["worlds"]}["lanes"]
            self.assertGreater(world["operations"], 0)
            self.assertGreater(world["crashes"], 0)
            struck = [name for name, hits in report["faults"].items() if hits > 0]
            self.assertGreater(len(struck), 6, struck)
            self.assertFalse([name for name in struck if not name.startswith("lane-")])
            print(f"seed {seed}: {world['crashes_per_second']} lanes a second")

    def test_replay__same_seed_twice__gives_the_same_trace(self):
        for seed in REPLAY_SEEDS:
            with self.subTest(seed=seed):
                first, second = (simulate(BUILD, "replay", "--seed", str(seed)) for _ in "ab")
                self.assertEqual(first["trace_hash"], second["trace_hash"])

    def test_replay__different_seeds__give_different_traces(self):
        hashes = {simulate(BUILD, "replay", "--seed", str(seed))["trace_hash"]
                  for seed in REPLAY_SEEDS}
        self.assertEqual(len(hashes), len(REPLAY_SEEDS))

    def test_replay__gcc_and_clang__give_the_same_trace(self):
        for seed in REPLAY_SEEDS:
            with self.subTest(seed=seed):
                gcc, clang = (simulate(build, "replay", "--seed", str(seed))
                              for build in (BUILD, CLANG_BUILD))
                self.assertEqual(gcc["trace_hash"], clang["trace_hash"])

    def test_canaries__each_planted_bug__is_caught_and_absent_without_it(self):
        canaries = simulate(BUILD, "canaries")["canaries"]
        self.assertGreaterEqual(len(canaries), CANARIES_MIN)
        for canary in canaries:
            with self.subTest(canary=canary["name"]):
                self.assertTrue(canary["caught"], "the planted bug was not found")
                self.assertTrue(canary["passes_without"], "its seed fails without it, too")
                self.assertEqual(len(canary["hunts"]), CANARY_HUNTS)
                self.assertEqual(canary["crashes_median"],
                                 statistics.median(hunt["crashes"] for hunt in canary["hunts"]))
                self.assertEqual(len({hunt["seed"] for hunt in canary["hunts"]}), CANARY_HUNTS)
                self.assertRegex(canary["oracle"], r"^([OR]\d+|assertion)$")


if __name__ == "__main__":
    unittest.main()
