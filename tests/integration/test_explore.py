#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bisect and show of a bundle, and runs of scenarios."""

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

# Planted bugs, and what the first bad input or effect is.
BUGS = (
    ("answer-before-flush", r"<- PUT_DONE item "),
    ("delete-answered-early", r"<- DELETE_DONE item "),
    ("record-before-data", r"<- DRIVE_WRITE op \d+\.\d+ meta unit \d+ count 1"),
    ("expiry-not-recorded", r"(<- PUT_DONE item |\*\* |DRIVE_)"),
    ("epoch-not-flushed", r"(<- DRIVE_WRITE op |\*\* |DRIVE_DONE)"),
)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


class ExploreTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def bundle_of(self, bug):
        """The bundle of the first failure in the volume world."""
        for seed in range(1, 60):
            run(CANARY_SIMULATOR, "run", "--canary", bug, "--seed", str(seed), "--seconds", "0.001",
                "--bundles", self.folder)
            path = os.path.join(self.folder, f"memkv-sim-{seed}.bundle")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as bundle:
                    if "\nworld 0\n" in bundle.read():
                        return path
        raise AssertionError(f"{bug} was not found")

    def test_bisect__planted_bugs__end_at_neighbours(self):
        for bug, line in BUGS:
            with self.subTest(bug=bug):
                path = self.bundle_of(bug)
                child = run(CANARY_SIMULATOR, "bisect", path, "--json")
                self.assertEqual(child.returncode, 0, child.stderr)
                report = json.loads(child.stdout)
                self.assertEqual(report["bad"], report["good"] + 1)
                with open(path, encoding="utf-8") as bundle:
                    self.assertIn(f"\noracle {report['oracle']}\n", bundle.read())
                self.assertRegex(report["bad_line"], line)
                self.assertNotEqual(report["good_line"], "")
                self.assertLess(report["runs"], 150)
                text = run(CANARY_SIMULATOR, "bisect", path).stdout
                self.assertIn(f"passes with the first {report['good']} inputs", text)
                self.assertIn(report["bad_line"], text)

    def test_bisect__passes_now_or_has_a_drive_set__says_so(self):
        path = self.bundle_of("answer-before-flush")
        child = run(SIMULATOR, "bisect", path)
        self.assertEqual(child.returncode, 1)
        self.assertIn("it does not fail as it says", child.stderr)
        with open(path, encoding="utf-8") as bundle:
            text = bundle.read()
        with open(path, "w", encoding="utf-8") as bundle:
            text = text.replace("\nworld 0\n", "\nworld 2\n")
            bundle.write(re.sub(r"\nvolume_count \d+", "\nvolume_count 2", text))
        child = run(CANARY_SIMULATOR, "bisect", path)
        self.assertEqual(child.returncode, 1)
        self.assertIn("cannot be cut off", child.stderr)

    def test_show__bundle__says_what_it_holds(self):
        path = self.bundle_of("answer-before-flush")
        child = run(SIMULATOR, "show", path)
        self.assertEqual(child.returncode, 0)
        for part in ("O12 fired: ", "with the planted bug answer-before-flush", "world volume: ",
                     "a ring of ", "drive: ", "faults: ", "promised: ", "clients: ",
                     "weights: put ", "crashes: "):
            self.assertIn(part, child.stdout)
        self.assertEqual(run(SIMULATOR, "show", path + ".none").returncode, 2)

    def test_scenarios__each__runs_in_its_world_and_is_another_run_than_the_seed_draws(self):
        scenarios = json.loads(run(SIMULATOR, "scenarios", "--json").stdout)["scenarios"]
        text = run(SIMULATOR, "scenarios").stdout
        self.assertGreater(len(scenarios), 10)
        for scenario in scenarios:
            with self.subTest(scenario=scenario["name"]):
                self.assertRegex(text, rf"(?m)^{scenario['name']} +{scenario['world']} ")
                child = run(SIMULATOR, "run", "--scenario", scenario["name"], "--seconds", "0.2",
                            "--bundles", self.folder, "--json")
                self.assertEqual(child.returncode, 0, child.stdout)
                report = json.loads(child.stdout)
                for world in report["worlds"]:
                    self.assertEqual(world["seeds"] > 0, world["name"] == scenario["world"])
        drawn = json.loads(run(SIMULATOR, "replay", "--seed", "1", "--json").stdout)
        for name in ("one-key", "full", "power-cuts"):
            chosen = json.loads(run(SIMULATOR, "replay", "--seed", "1", "--scenario", name,
                                    "--json").stdout)
            self.assertNotEqual(chosen["trace_hash"], drawn["trace_hash"])
        text = run(SIMULATOR, "timeline", "--seed", "1", "--scenario", "lists").stdout
        self.assertGreater(text.count("\n"), 100)
        stats = json.loads(run(SIMULATOR, "stats", "--scenario", "lists", "--seconds", "0.5",
                               "--bundles", self.folder, "--json").stdout)
        usual = json.loads(run(SIMULATOR, "stats", "--seconds", "0.5", "--bundles", self.folder,
                               "--json").stdout)
        self.assertGreater(stats["purges"] / stats["crashes"], usual["purges"] / usual["crashes"])

    def test_scenario__failure__has_a_bundle_that_replays(self):
        child = run(CANARY_SIMULATOR, "run", "--canary", "answer-before-flush", "--scenario",
                    "expire", "--seconds", "0.001", "--bundles", self.folder)
        self.assertEqual(child.returncode, 1)
        path = os.path.join(self.folder, os.listdir(self.folder)[0])
        report = json.loads(run(CANARY_SIMULATOR, "replay", path, "--json").stdout)
        self.assertTrue(report["same_oracle"] and report["same_trace"], report)

    def test_usage__wrong_command_lines__exit_2_and_say_what_is_wrong(self):
        for arguments, complaint in (
            (["bisect"], "bisect needs a BUNDLE"),
            (["bisect", "--seed", "1"], "bisect has no --seed"),
            (["show"], "show needs a BUNDLE"),
            (["show", "a", "--json"], "show has no --json"),
            (["scenarios", "--seed", "1"], "scenarios has no --seed"),
            (["run", "--scenario", "none-such"], "--scenario 'none-such'"),
            (["sweep", "--scenario", "full"], "sweep has no --scenario"),
            (["replay", "--seed", "1", "--scenario", "front"], "seed 1 is none of scenario front"),
            (["replay", "a", "--scenario", "front"], "a bundle or a seed"),
        ):
            with self.subTest(arguments=arguments):
                child = run(SIMULATOR, *arguments)
                self.assertEqual(child.returncode, 2, child)
                self.assertIn(complaint, child.stderr)


if __name__ == "__main__":
    unittest.main()
