#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bundles that failed once: each passes now, twice, in memory that differs.

Those of planted bugs also fail still where the bug is planted, so that a bundle that has lost its
point is noticed: replace it by one of the same bug (docs/testing.md).
"""

import glob
import json
import os
import subprocess
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
SIMULATOR = os.path.join(BUILD, "memkv-sim")
CANARY_SIMULATOR = os.path.join(BUILD, "memkv-sim-canary")
BUNDLES = sorted(glob.glob(os.path.join(SOURCE, "tests", "corpus", "*.bundle")))
BUNDLES_MIN = 3


def replay(program, path):
    return subprocess.run([program, "replay", path, "--json"], capture_output=True, text=True,
                          check=False, timeout=120)


def value_of(path, name):
    with open(path, encoding="utf-8") as bundle:
        for line in bundle:
            if line.startswith(name + " "):
                return line.rstrip("\n").split(" ", 1)[1]
    return None


class CorpusTest(unittest.TestCase):
    def test_bundles__what_ships__passes_on_each(self):
        self.assertGreaterEqual(len(BUNDLES), BUNDLES_MIN)
        for path in BUNDLES:
            with self.subTest(bundle=os.path.basename(path)):
                child = replay(SIMULATOR, path)
                self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
                self.assertFalse(json.loads(child.stdout)["failed"])

    def test_bundles_of_planted_bugs__bug_planted__fail_with_their_oracle(self):
        planted = [path for path in BUNDLES if value_of(path, "canary") != "none"]
        self.assertGreaterEqual(len(planted), BUNDLES_MIN)
        for path in planted:
            with self.subTest(bundle=os.path.basename(path)):
                child = replay(CANARY_SIMULATOR, path)
                self.assertEqual(child.returncode, 1, child.stdout + child.stderr)
                report = json.loads(child.stdout)
                self.assertTrue(report["same_oracle"], report)
                self.assertLessEqual(report["operations"], 10)


if __name__ == "__main__":
    unittest.main()
