#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simulator finds nothing in what ships, everything that was planted, and always the same."""

import json
import os
import re
import statistics
import subprocess
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
CLANG_BUILD = os.environ.get("MKV_CLANG_BUILD_DIR", os.path.join(SOURCE, "build-asan"))
LONG = os.environ.get("MKV_LONG") == "1"

RUN_SEEDS = (1, 2, 3)
RUN_SECONDS = 300 if LONG else 12
LANES_SECONDS = 60 if LONG else 6
REPLAY_SEEDS = [*range(1, 65 if LONG else 9), 67]  # the last has lanes
CANARIES_MIN = 50
SEEDS = os.path.join(SOURCE, "tests", "fixtures", "canary_seeds.tsv")
SEEDS_STALE_MAX = 0.5


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
        # The short suite looks once for each, first where it was found last.
        report = simulate(BUILD, "canaries", *([] if LONG else ["--seeds", SEEDS]))
        hunts = 5 if LONG else 1
        self.assertGreaterEqual(len(report["canaries"]), CANARIES_MIN)
        for canary in report["canaries"]:
            with self.subTest(canary=canary["name"]):
                self.assertTrue(canary["caught"], "the planted bug was not found")
                self.assertTrue(canary["passes_without"], "its seed fails without it, too")
                self.assertEqual(len(canary["hunts"]), hunts)
                self.assertEqual(canary["crashes_median"],
                                 statistics.median(hunt["crashes"] for hunt in canary["hunts"]))
                self.assertEqual(len({hunt["seed"] for hunt in canary["hunts"]}), hunts)
                self.assertRegex(canary["oracle"], r"^([OR]\d+|assertion)$")
        known = sum(canary["hunts"][0]["known"] for canary in report["canaries"])
        self.assertEqual(report["known"], known)
        if not LONG:
            print(f"{known} of {len(report['canaries'])} by a known seed")
            self.assertGreater(known, len(report["canaries"]) * SEEDS_STALE_MAX,
                               f"most seeds of {SEEDS} have gone stale; its first lines say how "
                               "it is written")

    def test_canary_seeds__have_a_line_for_every_planted_bug(self):
        with open(SEEDS, encoding="utf-8") as file:
            names = [line.split("\t")[0] for line in file if not line.startswith("#")]
        planted = set()
        for path in ("core/canary.c", "wire/lane_canary.c"):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                planted.update(re.findall(r'\{\s*"([a-z0-9-]+)"', file.read()))
        self.assertGreaterEqual(len(planted), CANARIES_MIN)
        self.assertEqual(sorted(names), sorted(planted))


if __name__ == "__main__":
    unittest.main()
