#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that can happen to a very small drive: it passes, and planted bugs do not."""

import json
import os
import subprocess
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
SIMULATOR = os.path.join(BUILD, "memkv-sim")
CANARY_SIMULATOR = os.path.join(BUILD, "memkv-sim-canary")

# So much processor time is given to all sequences of three operations.
SECONDS_MAX = 60
# Planted bugs that one schedule and two operations show; by which oracle, and whether it takes a
# crash.
BUGS = (
    ("answer-before-flush", "O12", False),
    ("delete-answered-early", "O12", False),
    ("epoch-not-flushed", "O7", True),
    ("superblock-single-copy-trusted", "O7", True),
    ("flip-before-flush", "O1", True),
)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


class ExhaustiveTest(unittest.TestCase):
    def test_three_operations__every_crash_and_image__passes(self):
        before = os.times()
        child = run(SIMULATOR, "exhaustive", "--json")
        after = os.times()
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        report = json.loads(child.stdout)
        self.assertEqual(report["failures"], [])
        self.assertEqual(report["operations"], 3)
        self.assertTrue(report["complete"])
        self.assertGreater(report["sequences"], 5000)
        self.assertGreater(report["crash_points"], 50000)
        self.assertGreater(report["ends"], 500000)
        self.assertGreater(report["recoveries"], 40000)
        self.assertEqual(report["crash_points_with_ends_left_out"], 0)
        self.assertLess(after.children_user - before.children_user, SECONDS_MAX)

    def test_operations_and_seconds__bound_what_is_run(self):
        child = run(SIMULATOR, "exhaustive", "--operations", "1")
        self.assertEqual(child.returncode, 0)
        self.assertRegex(child.stdout, r"^9 sequences of up to 1 operations, \d+ crash points, \d+ "
                                       r"ends of these")
        child = run(SIMULATOR, "exhaustive", "--seconds", "1")
        self.assertEqual(child.returncode, 1)
        self.assertIn("NOT ALL", child.stdout)

    def test_planted_bugs__are_found_and_named_so_that_they_run_again(self):
        for bug, oracle, crashes in BUGS:
            with self.subTest(bug=bug):
                child = run(CANARY_SIMULATOR, "exhaustive", "--operations", "2", "--canary", bug,
                            "--json")
                self.assertEqual(child.returncode, 1, child.stderr)
                failure = json.loads(child.stdout)["failures"][0]
                self.assertEqual(failure["oracle"], oracle)
                self.assertEqual("crash" in failure, crashes)
                case = ("exhaustive", "--steps", failure["steps"], "--crash",
                        str(failure.get("crash", 0)), "--end", str(failure["end"]))
                child = run(CANARY_SIMULATOR, *case, "--canary", bug)
                self.assertEqual(child.returncode, 1)
                self.assertIn(f"FAILED {oracle}: {failure['text']}", child.stdout)
                self.assertIn("FORMAT", child.stdout)
                child = run(SIMULATOR, *case)
                self.assertEqual(child.returncode, 0, child.stdout)
                self.assertTrue(child.stdout.endswith("passed\n"))

    def test_usage__wrong_command_lines__exit_2_and_say_what_is_wrong(self):
        for arguments, complaint in (
            (["--operations", "4"], "--operations '4'"),
            (["--operations"], "needs a value"),
            (["--seconds", "x"], "--seconds 'x'"),
            (["--seed", "1"], "no option '--seed'"),
            (["--canary", "answer-before-flush"], "no option '--canary'"),
            (["--steps", "put c 1", "--crash", "1"], "--steps 'put c 1'"),
            (["--steps", "get a"], "it needs the first two"),
            (["--crash", "1"], "it needs the first two"),
            (["--steps", "get a", "--crash", "-1"], "--crash '-1'"),
            (["--steps", "get a", "--crash", "1", "--end", "x"], "--end 'x'"),
            (["--steps", "get a", "--crash", "1", "--json"], "one case"),
        ):
            with self.subTest(arguments=arguments):
                child = run(SIMULATOR, "exhaustive", *arguments)
                self.assertEqual(child.returncode, 2, child)
                self.assertIn(complaint, child.stderr)


if __name__ == "__main__":
    unittest.main()
