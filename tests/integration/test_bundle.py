#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bundles of failed runs: written, replayed with the same trace, and shrunk to a few operations.

The failures are those of planted bugs; what ships passes on the same bundles.
"""

import json
import os
import re
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
SIMULATOR = os.path.join(BUILD, "memkv-sim")
CANARY_SIMULATOR = os.path.join(BUILD, "memkv-sim-canary")

# The last three fail after hundreds to thousands of operations.
CANARIES = ("slot-reused-before-drop", "delete-answered-early", "epoch-not-flushed",
            "stamp-ignored", "emptied-slot-reused-while-held", "evicted-slot-reused-before-drop")
FOUND_AT_ONCE = "answer-before-flush"
OPERATIONS_MAX = 10
BUNDLES_TRIED = 3
# Of the processor.
MINIMIZE_SECONDS = "8"
A_SEED_S = 0.001  # so short that one seed is run, to its end


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def value_of(path, name):
    """What the line of this name says, above the timeline."""
    with open(path, encoding="utf-8") as bundle:
        for line in bundle:
            if line.startswith(name + " "):
                return line.rstrip("\n").split(" ", 1)[1]
    return None


def known_seeds(canary):
    """Those that caught the planted bug when the file was written."""
    with open(os.path.join(SOURCE, "tests", "fixtures", "canary_seeds.tsv"),
              encoding="utf-8") as file:
        seeds = dict(line.rstrip("\n").split("\t") for line in file if not line.startswith("#"))
    return [int(seed) for seed in seeds[canary].split(" ")]


class BundleTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def bundle_of(self, canary):
        return self.bundles_of(canary)[0]

    def found_from(self, canary, seed, seconds):
        """The paths of the bundles that a run with the planted bug has written."""
        child = run(CANARY_SIMULATOR, "run", "--canary", canary, "--seed", str(seed), "--seconds",
                    str(seconds), "--bundles", self.folder.name)
        found = re.findall(r"memkv-sim-\d+\.bundle", child.stderr)
        self.assertEqual(child.returncode, 1 if found else 0, child.stderr)
        return [os.path.join(self.folder.name, name) for name in dict.fromkeys(found)]

    def bundles_of(self, canary):
        """Of seeds that fail with the planted bug: those that did before, or others."""
        known = known_seeds(canary)[:BUNDLES_TRIED]
        paths = [path for seed in known for path in self.found_from(canary, seed, A_SEED_S)]
        for seed in range(1, 400, 40):
            if paths:
                return paths
            paths = self.found_from(canary, seed, 5)
        raise AssertionError(f"{canary} was not found")

    def test_run__fails__writes_a_bundle_that_replays_with_the_same_trace(self):
        path = self.bundle_of(FOUND_AT_ONCE)
        with open(path, encoding="utf-8") as bundle:
            text = bundle.read()
        for part in ("memkv-sim bundle 1\n", f"canary {FOUND_AT_ONCE}\n", "oracle O12\n", "faults ",
                     "ring_blocks ", "\ntimeline\n", "DRIVE_WRITE", "answered before"):
            self.assertIn(part, text)
        child = run(CANARY_SIMULATOR, "replay", path, "--json")
        self.assertEqual(child.returncode, 1)
        report = json.loads(child.stdout)
        self.assertTrue(report["same_oracle"] and report["same_trace"])
        self.assertEqual(report["oracle"], "O12")
        self.assertEqual(report["trace_hash"], value_of(path, "trace"))
        child = run(CANARY_SIMULATOR, "replay", path, "--verbose")
        self.assertIn("with the same trace", child.stdout)
        self.assertIn("PUT_BEGIN item", child.stdout)

    def test_replay__what_ships__passes_and_says_that_the_bug_is_elsewhere(self):
        child = run(SIMULATOR, "replay", self.bundle_of(FOUND_AT_ONCE))
        self.assertEqual(child.returncode, 0)
        self.assertIn("fails no longer", child.stdout)
        self.assertIn("memkv-sim-canary has it", child.stderr)

    def test_minimize__three_planted_bugs__leave_few_operations_and_the_same_oracle(self):
        for canary in CANARIES:
            with self.subTest(canary=canary):
                small = os.path.join(self.folder.name, "small")
                # One in some dozens stays large: what fails in it takes all of its lives.
                for path in self.bundles_of(canary)[:BUNDLES_TRIED]:
                    child = run(CANARY_SIMULATOR, "minimize", path, "--output", small, "--seconds",
                                MINIMIZE_SECONDS, "--json")
                    self.assertEqual(child.returncode, 0, child.stderr)
                    report = json.loads(child.stdout)
                    self.assertEqual(report["bundle"], small)
                    if report["operations"] <= OPERATIONS_MAX:
                        break
                self.assertLessEqual(report["operations"], OPERATIONS_MAX)
                self.assertLessEqual(report["operations"], report["operations_before"])
                self.assertEqual(report["oracle"], value_of(path, "oracle"))
                for name in ("crashes_max", "key_count", "ring_blocks", "extent_count"):
                    self.assertLessEqual(int(value_of(small, name)), int(value_of(path, name)))
                replayed = json.loads(run(CANARY_SIMULATOR, "replay", small, "--json").stdout)
                self.assertTrue(replayed["same_oracle"] and replayed["same_trace"], replayed)
                self.assertEqual(replayed["operations"], report["operations"])
                self.assertEqual(run(SIMULATOR, "replay", small).returncode, 0)
                for name in os.listdir(self.folder.name):
                    os.unlink(os.path.join(self.folder.name, name))

    def test_minimize__passes_now__says_that_there_is_nothing_to_shrink(self):
        path = self.bundle_of(FOUND_AT_ONCE)
        child = run(SIMULATOR, "minimize", path)
        self.assertEqual(child.returncode, 1)
        self.assertIn("nothing to shrink", child.stderr)
        self.assertFalse(os.path.exists(path + ".min"))

    def test_timeline__bundle_and_seed__have_a_line_for_each_operation(self):
        path = self.bundle_of(FOUND_AT_ONCE)
        child = run(CANARY_SIMULATOR, "timeline", path)
        self.assertEqual(child.returncode, 1)
        self.assertRegex(child.stdout, r"PUT_BEGIN volume 0 item \d+\.\d+ key [0-9a-f]+ length \d+ "
                                       r"-> PUT_DONE status 0")
        self.assertRegex(child.stdout, r"FAILED O12: ")
        child = run(SIMULATOR, "timeline", "--seed", "1")
        self.assertEqual(child.returncode, 0)
        for pattern in (r"\nlife 2\n", r"\*\* power lost", r"units not durable",
                        r"-> not answered", r"DELETE volume 0 item .* -> DELETE_DONE"):
            self.assertRegex(child.stdout, pattern)

    def test_replay__no_bundle__says_what_is_wrong(self):
        path = self.bundle_of(FOUND_AT_ONCE)
        with open(path, encoding="utf-8") as bundle:
            text = bundle.read()
        broken = os.path.join(self.folder.name, "broken")
        for old, new in (("memkv-sim bundle 1", "something else"), ("ring_blocks ", "ring_block "),
                         ("key_count ", "key_count 99999"), ("oracle O12", "oracle none"),
                         ("faults ", "faults no-such-fault,"), ("\nskipped", "\nskipped 9-1")):
            with self.subTest(line=new):
                with open(broken, "w", encoding="utf-8") as bundle:
                    bundle.write(text.replace(old, new, 1))
                child = run(CANARY_SIMULATOR, "replay", broken)
                self.assertEqual(child.returncode, 2, child)
                self.assertIn("is no bundle that can be run", child.stderr)
        self.assertEqual(run(SIMULATOR, "replay", broken + ".none").returncode, 2)


if __name__ == "__main__":
    unittest.main()
