#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much of the core the simulator takes, and that each branch it does not has its reason."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
LONG = os.environ.get("MKV_LONG") == "1"
SCRIPT = os.path.join(SOURCE, "ci", "coverage")


def load_script():
    loader = importlib.machinery.SourceFileLoader("coverage_script", SCRIPT)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class ReasonsTest(unittest.TestCase):
    def setUp(self):
        self.script = load_script()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(os.path.join(self.folder, "a.c"), "w", encoding="utf-8") as file:
            file.write("if (one == 1 &&\n    two) {\n    case THREE:\n")

    def read(self, text):
        path = os.path.join(self.folder, "reasons.tsv")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.script.read_reasons(path, self.folder)

    def expect_refused(self, text, words):
        with self.assertRaisesRegex(self.script.ReasonError, words):
            self.read(text)

    def test_reasons__of_this_tree__are_of_conditions_that_there_are(self):
        child = subprocess.run([SCRIPT, "--check"], capture_output=True, text=True, check=False,
                               timeout=60)
        self.assertEqual(child.returncode, 0, child.stderr)

    def test_reasons__condition_over_two_lines__is_found(self):
        reasons = self.read("# a comment\n\na.c\tone == 1 && two\ttrue\tnobody does\n")
        self.assertEqual(reasons, {("a.c", "one == 1 && two", "true"): "nobody does"})

    def test_reasons__condition_that_is_gone__is_refused(self):
        self.expect_refused("a.c\tone == 2\ttrue\tnobody does\n",
                            r"reasons.tsv:1: a.c has no condition `one == 2`")

    def test_reasons__file_that_is_gone__is_refused(self):
        self.expect_refused("b.c\ttwo\ttrue\tnobody does\n", "there is no b.c")

    def test_reasons__row_that_lacks_something__is_refused(self):
        for row in ("a.c\ttwo\ttrue", "a.c\ttwo\ttrue\t", "a.c\ttwo\tneither\tnobody does"):
            self.expect_refused(row + "\n", "reasons.tsv:1: not `file, condition")

    def test_reasons__second_one_for_a_side__is_refused(self):
        self.expect_refused("a.c\ttwo\ttrue\tx\na.c\ttwo\tfalse\ty\na.c\ttwo\ttrue\tz\n",
                            "reasons.tsv:3: a second reason")


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.script = load_script()
        self.misses = [("a.c", 1, "one", "true"), ("a.c", 2, "two", "false"),
                       ("a.c", 3, "three", "true")]
        self.reasons = {("a.c", "one", "true"): "contract: an assertion stops it",
                        ("a.c", "two", "false"): "planted: a bug",
                        ("a.c", "three", "true"): "it takes a year"}

    def test_judge__reasons_for_all__leave_out_what_nothing_can_take(self):
        figures, unexplained = self.script.judge(102, self.misses, self.reasons)
        self.assertEqual(unexplained, [])
        self.assertEqual(figures["taken"], 99)
        self.assertEqual((figures["contract"], figures["planted"]), (1, 1))
        self.assertEqual(figures["share_of_takeable"], 0.99)
        self.assertTrue(self.script.is_good(figures))

    def test_judge__miss_without_a_reason__is_named_and_not_good(self):
        for other_side in ("a.c", "two", "true"), ("b.c", "three", "true"):
            del self.reasons["a.c", "three", "true"]
            self.reasons[other_side] = "it is another one"
            figures, unexplained = self.script.judge(102, self.misses, self.reasons)
            self.assertEqual(unexplained, [("a.c", 3, "three", "true")])
            self.assertFalse(self.script.is_good(figures))
            self.reasons["a.c", "three", "true"] = "it takes a year"

    def test_judge__too_few_taken__is_not_good_with_all_reasons(self):
        figures, _ = self.script.judge(20, self.misses, self.reasons)
        self.assertEqual(figures["unexplained"], 0)
        self.assertEqual(figures["share_of_takeable"], round(17 / 18, 4))
        self.assertFalse(self.script.is_good(figures))

    def test_missed__planted_bug_itself__is_no_miss(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write("if (MKV_CANARY(X) && one)\n")
            branches = [[1, 5, 1, 18, 0, 0], [1, 22, 1, 25, 3, 0]]
            misses = list(self.script.missed({"files": [{"filename": path, "branches": branches}]}))
        self.assertEqual([(line, text, side) for _, line, text, side in misses],
                         [(1, "one", "false")])


class CoverageTest(unittest.TestCase):
    @unittest.skipUnless(LONG, "four minutes of the simulator: --long")
    def test_simulator__takes_what_can_be_taken_of_the_core(self):
        build = subprocess.run(["ci/build", "build-coverage", "clang", "-Dcoverage=true", "--",
                                "memkv-sim"], cwd=SOURCE, capture_output=True, text=True,
                               check=False, timeout=900)
        self.assertEqual(build.returncode, 0, build.stdout + build.stderr)
        child = subprocess.run([SCRIPT, "--json"], cwd=SOURCE, capture_output=True, text=True,
                               check=False, timeout=900)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        figures = json.loads(child.stdout)
        self.assertGreaterEqual(figures["share_of_takeable"], 0.95)
        self.assertEqual(figures["unexplained"], 0)


if __name__ == "__main__":
    unittest.main()
