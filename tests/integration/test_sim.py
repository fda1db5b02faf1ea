#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memkv-sim as a command: what it prints, what it refuses, and what its exit status says.

What it finds is the business of test_simulator.py.
"""

import collections
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
SIMULATOR = os.path.join(BUILD, "memkv-sim")
CANARY_SIMULATOR = os.path.join(BUILD, "memkv-sim-canary")

# A planted bug that the first seeds catch: a put is answered before its flush.
CANARY_FOUND_AT_ONCE = "1"
# Parts that are refused; effects that are dropped and transfers that fail; segments abroad.
SEEDS_OF_SELDOM = (75, 180, 360)


def run(*command):
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120,
    )


class SimTest(unittest.TestCase):
    def test_usage__wrong_command_lines__exit_2_and_say_what_is_wrong(self):
        for arguments, complaint in (
            ([], "usage: memkv-sim"),
            (["jump"], "no command 'jump'"),
            (["run", "--fast"], "no option '--fast'"),
            (["run", "--seed"], "--seed needs a value"),
            (["run", "--seed", "x"], "--seed 'x'"),
            (["run", "--seed", "-1"], "--seed '-1'"),
            (["run", "--seconds", "0"], "--seconds '0'"),
            (["run", "--seconds", "1e9"], "--seconds '1e9'"),
            (["run", "--verbose"], "run has no --verbose"),
            (["replay"], "replay needs a BUNDLE or --seed N"),
            (["minimize", "--seed", "1"], "minimize has no --seed"),
            (["minimize"], "minimize needs a BUNDLE"),
            (["timeline"], "timeline needs a BUNDLE or --seed N"),
            (["timeline", "--seed", "1", "--json"], "timeline has no --json"),
            (["replay", "a", "b"], "'b' is one file too many"),
            (["replay", "a", "--seed", "1"], "a bundle or a seed"),
            (["run", "a"], "run has no bundle"),
            (["replay", "--seed", "1", "--bundles", "a"], "replay has no --bundles"),
            (["run", "--output", "a"], "run has no --output"),
            (["replay", "--seed", "1", "--seconds", "1"], "replay has no --seconds"),
            (["canaries", "--seed", "1"], "canaries has no --seed"),
            (["hunt", "--canary", "1"], "no option '--canary'"),
            (["run", "--faults"], "--faults needs a value"),
            (["run", "--faults", "rot,rots"], "--faults names 'rots', and there is no such fault"),
            (["run", "--faults", ""], "--faults names ''"),
            (["run", "--first", "1"], "run has no --first"),
            (["faults", "--faults", "rot"], "faults has no --faults"),
            (["canaries", "--faults", "rot"], "canaries has no --faults"),
            (["run", "--seeds", "a"], "run has no --seeds"),
            (["sweep", "--seconds", "1"], "sweep has no --seconds"),
            (["replay", "--seed", "1", "--second", "2"], "--second needs --first"),
            (["replay", "--seed", "1", "--faults", "rot,gone", "--first", "1"],
             "--first needs --faults with the name of one fault"),
            (["replay", "--seed", "1", "--faults", "gone", "--first", "0"], "--first '0'"),
        ):
            with self.subTest(arguments=arguments):
                child = run(SIMULATOR, *arguments)
                self.assertEqual(child.returncode, 2, child)
                self.assertIn(complaint, child.stderr)
                self.assertEqual(child.stdout, "")

    def test_help__each_way_to_ask__prints_every_command_and_exits_0(self):
        for arguments in (["help"], ["--help"], ["-h"], ["run", "--help"], ["replay", "--help"],
                          ["canaries", "--help"]):
            with self.subTest(arguments=arguments):
                child = run(SIMULATOR, *arguments)
                self.assertEqual(child.returncode, 0)
                for word in ("run", "replay", "minimize", "timeline", "stats", "sweep", "faults",
                             "exhaustive", "bisect", "show", "scenarios", "--scenario",
                             "--operations", "--steps", "--crash", "--end",
                             "forge", "canaries", "--seed", "--seconds", "--output", "--bundles",
                             "--faults", "--first", "--second", "--json"):
                    self.assertIn(word, child.stdout)
        self.assertRegex(run(SIMULATOR, "--version").stdout, r"^memkv-sim \d+\.\d+\.\d+\n$")

    def test_run__json__has_every_figure_and_they_agree(self):
        child = run(SIMULATOR, "run", "--seed", "5", "--seconds", "2", "--json")
        self.assertEqual(child.returncode, 0, child.stdout)
        report = json.loads(child.stdout)
        self.assertEqual(report["failures"], [])
        self.assertEqual(report["seed"], 5)
        self.assertGreater(report["seeds_repeated"], 0)
        # Seconds are printed to the millisecond: half of one is that much of the rate.
        rate = report["crashes"] / report["seconds"]
        self.assertAlmostEqual(
            report["crashes_per_second"], rate, delta=rate * 0.0005 / report["seconds"] + 0.001)
        self.assertLessEqual(report["distinct_images"], report["crashes"])
        self.assertGreater(report["oracle_evaluations"], report["crashes"])
        for figure in ("seeds", "crashes", "operations"):
            self.assertEqual(
                sum(world[figure] for world in report["worlds"]), report[figure], figure)
        replayed = json.loads(run(SIMULATOR, "replay", "--seed", "5", "--json").stdout)
        self.assertEqual(replayed["trace_hash"], report["trace_hash"])

    def test_run__progress__is_on_a_terminal_alone(self):
        command = [SIMULATOR, "run", "--seed", "1", "--seconds", "1"]
        try:
            terminal, end = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal is to be had here: {error}")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end) as child:
            os.close(end)
            shown = b""
            try:
                while piece := os.read(terminal, 4096):
                    shown += piece
            except OSError:
                pass  # how Linux says that the other end is closed
            self.assertEqual(child.wait(), 0)
        os.close(terminal)
        self.assertRegex(shown.decode(), r"\d of 1 s: \d+ seeds, \d+ crashes, 0 failures")
        self.assertTrue(shown.endswith(b"\r\033[K"), shown)
        self.assertEqual(run(*command).stderr, "")

    def test_stats__json_and_text__every_figure_is_above_none(self):
        # What is seldom, by the seeds that had it last; where those have it no more, by many.
        stats = collections.Counter()
        for seed, seconds in (*((seed, 0.001) for seed in SEEDS_OF_SELDOM), (1, 5), (1, 60)):
            child = run(SIMULATOR, "stats", "--seed", str(seed), "--seconds", str(seconds),
                        "--json")
            self.assertEqual(child.returncode, 0, child.stdout)
            stats.update(json.loads(child.stdout))
            if all(stats.values()) and seed == 1:
                break
        for name, figure in stats.items():
            self.assertGreater(figure, 0, name)
        self.assertGreater(stats["key_reuses"], stats["puts"] // 4)
        text = run(SIMULATOR, "stats", "--seed", "1", "--seconds", "1").stdout
        for name in set(stats) - {"seed", "seeds", "crashes"}:
            self.assertRegex(text, rf"(?m)^{name} +\d+$")

    def test_faults__json_and_text__name_each_with_its_promise(self):
        faults = json.loads(run(SIMULATOR, "faults", "--json").stdout)["faults"]
        text = run(SIMULATOR, "faults").stdout
        self.assertEqual(len(text.splitlines()), len(faults))
        for fault, line in zip(faults, text.splitlines()):
            self.assertEqual(line.split()[:2], [fault["name"], fault["promise"]])
            self.assertIn(fault["description"], line)
            self.assertGreaterEqual(fault["one_in"], 1)
        self.assertEqual({fault["promise"] for fault in faults},
                         {"crash-only", "outage", "media", "lying"})

    def test_fault_model__page__names_every_fault_and_planted_bug_and_no_others(self):
        faults = {fault["name"]
                  for fault in json.loads(run(SIMULATOR, "faults", "--json").stdout)["faults"]}
        bugs = set()
        for path in ("core/canary.c", "wire/lane_canary.c"):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as source:
                found = set(re.findall(r'\{\s*"([a-z0-9-]+)"', source.read()))
            self.assertGreater(len(found), 15)
            bugs |= found
        with open(os.path.join(SOURCE, "docs", "fault-model.md"), encoding="utf-8") as page:
            named = set(re.findall(r"`([a-z0-9-]+)`", page.read()))
        self.assertEqual((faults | bugs) - named, set())
        self.assertEqual({name for name in named - faults - bugs if "-" in name}, set())

    def test_run__faults__has_these_and_no_others(self):
        for asked, expected in (("none", set()), ("rot", {"rot"}),
                                ("slow,write-medium", {"slow", "write-medium"})):
            with self.subTest(faults=asked):
                child = run(SIMULATOR, "run", "--seed", "1", "--seconds", "1", "--faults", asked,
                            "--json")
                self.assertEqual(child.returncode, 0, child.stdout)
                hits = json.loads(child.stdout)["faults"]
                self.assertEqual({name for name, count in hits.items() if count > 0}, expected)

    def test_run__fault_that_is_none__names_all_there_are(self):
        names = [fault["name"]
                 for fault in json.loads(run(SIMULATOR, "faults", "--json").stdout)["faults"]]
        child = run(SIMULATOR, "run", "--faults", "rot,gnoe")
        self.assertEqual(child.returncode, 2)
        self.assertIn("'gnoe'", child.stderr)
        self.assertIn("there are: " + ", ".join(names) + ", or none, or all", child.stderr)

    def test_replay__first_and_second__strike_once_each(self):
        def hits(*strikes):
            child = run(SIMULATOR, "replay", "--seed", "1", "--faults", "write-device", *strikes,
                        "--json")
            self.assertEqual(child.returncode, 0, child.stdout)
            return json.loads(child.stdout)["faults"]["write-device"]
        self.assertEqual(hits("--first", "1000000"), 0)
        self.assertEqual(hits("--first", "20"), 1)
        self.assertEqual(hits("--first", "20", "--second", "1"), 2)

    def test_sweep__one_fault__strikes_operation_after_operation(self):
        child = run(SIMULATOR, "sweep", "--seed", "3", "--faults", "flush-error", "--json")
        self.assertEqual(child.returncode, 0, child.stdout)
        sweep = json.loads(child.stdout)
        self.assertEqual(sweep["seed"], 3)
        self.assertEqual(list(sweep["faults"]), ["flush-error"])
        figures = sweep["faults"]["flush-error"]
        self.assertGreater(figures["points"], 10)
        self.assertGreaterEqual(figures["hits"], figures["points"])
        self.assertEqual(figures["runs"], sweep["runs"])
        text = run(SIMULATOR, "sweep", "--seed", "3", "--faults", "flush-error").stdout
        self.assertIn(f"{figures['points']} operations struck in {figures['runs']:4} runs", text)

    def test_replay__verbose__prints_a_timeline_and_the_same_trace(self):
        quiet = json.loads(run(SIMULATOR, "replay", "--seed", "1", "--json").stdout)
        child = run(SIMULATOR, "replay", "--seed", "1", "--verbose", "--json")
        self.assertEqual(json.loads(child.stdout)["trace_hash"], quiet["trace_hash"])
        for pattern in (r"volume 0 -> ADMIN FORMAT", r"volume 0 <- DRIVE_FLUSH op",
                        r"world    \*\* power lost", r"volume 0 <- PUT_DONE item",
                        r"volume 0 <- EVENT opened"):
            self.assertTrue(re.search(pattern, child.stderr), pattern)

    def test_replay__oracle_fires__exits_1_and_names_it(self):
        arguments = ("replay", "--seed", "1", "--canary", CANARY_FOUND_AT_ONCE)
        child = run(CANARY_SIMULATOR, *arguments)
        self.assertEqual(child.returncode, 1)
        self.assertIn("FAILED seed 1: O12:", child.stdout)
        failures = json.loads(run(CANARY_SIMULATOR, *arguments, "--json").stdout)["failures"]
        self.assertEqual([(failure["seed"], failure["oracle"]) for failure in failures],
                         [(1, "O12")])
        self.assertTrue(failures[0]["text"])
        with tempfile.TemporaryDirectory() as folder:
            run_child = run(CANARY_SIMULATOR, "run", "--seconds", "0.1", "--canary",
                            CANARY_FOUND_AT_ONCE, "--bundles", folder)
        self.assertEqual(run_child.returncode, 1)

    def test_canaries__without_the_second_program__says_what_is_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            lonely = os.path.join(folder, "memkv-sim")
            shutil.copy(SIMULATOR, lonely)
            child = run(lonely, "canaries", "--json")
        self.assertEqual(child.returncode, 1)
        self.assertIn("memkv-sim-canary", child.stderr)

    def test_canaries__seeds_that_cannot_be_read__says_which_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "seeds")
            child = run(SIMULATOR, "canaries", "--seeds", path)
            self.assertEqual(child.returncode, 1)
            self.assertIn("cannot be opened", child.stderr)
            with open(path, "w", encoding="utf-8") as file:
                file.write("# a comment\nrecord-before-data\tone\n")
            child = run(SIMULATOR, "canaries", "--seeds", path)
            self.assertEqual(child.returncode, 1)
            self.assertIn("line 2", child.stderr)

    def test_what_ships__symbols__have_nothing_of_the_planted_bugs(self):
        symbols = run("nm", SIMULATOR).stdout
        self.assertIn("mkv_volume_step", symbols)
        for name in ("mkv_canary_is_on", "mkv_canary_hunt", "mkv_canary_name",
                     "mkv_lane_canary_name"):
            self.assertNotIn(name, symbols)
            self.assertIn(name, run("nm", CANARY_SIMULATOR).stdout)


if __name__ == "__main__":
    unittest.main()
