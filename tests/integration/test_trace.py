#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memkv-sim trace: what it prints of a real trace, what it refuses, and that each option counts."""

import functools
import json
import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))
SIMULATOR = os.path.join(BUILD, "memkv-sim")
TRACE = os.path.join(SOURCE, "tests", "traces", "mooncake_conversation.jsonl.xz")

PEERS = ("lru", "s3-fifo", "sieve", "arc", "w-tinylfu")


def run(*arguments):
    return subprocess.run(
        [SIMULATOR, "trace", *arguments], capture_output=True, text=True, check=False, timeout=120,
    )


@functools.cache
def output(*arguments):
    """What is said as JSON; asked once, since seconds go by over each."""
    child = run(TRACE, "--json", *arguments)
    if child.returncode != 0:
        raise AssertionError(child.stderr)
    return child.stdout


def report(*arguments):
    return json.loads(output(*arguments))


def hits_of(said):
    """{policy: {blocks: hits}}"""
    return {
        policy["name"]: {size["blocks"]: size["hits"] for size in policy["sizes"]}
        for policy in said["policies"]
    }


class TraceTest(unittest.TestCase):
    def test_trace__default__counts_the_second_half_at_five_sizes(self):
        said = report()
        self.assertEqual(said["requests"], 12031)
        self.assertEqual(said["references"], 288500)
        self.assertEqual(said["blocks"], 182790)
        self.assertEqual(said["from_ms"], 1800000)
        self.assertEqual(said["counted_references"], 142036)
        for sizes in hits_of(said).values():
            self.assertEqual(list(sizes), [1828, 5484, 18279, 36558, 73116])

    def test_trace__room_for_all_blocks__every_policy_has_what_can_be_had(self):
        # 36.64 % of all references are leading hits if nothing is ever evicted.
        said = report("--from-ms", "0", "--memory", "190000")
        for name, sizes in hits_of(said).items():
            with self.subTest(policy=name):
                self.assertEqual(round(100 * sizes[190000] / said["references"], 2), 36.64)

    def test_trace__memkv__is_above_the_others_by_and_large(self):
        # The default counts the second half; the policy was tuned on the first one.
        hits = hits_of(report())
        for peer in PEERS:
            with self.subTest(peer=peer):
                self.assertGreater(sum(hits["memkv"].values()), sum(hits[peer].values()))
        better = [blocks for blocks in hits["memkv"]
                  if hits["memkv"][blocks] > hits["s3-fifo"][blocks]]
        self.assertEqual(better, [1828, 18279, 36558, 73116])

    def test_trace__belady__is_never_below_another(self):
        for arguments in ((), ("--order", "prefix")):
            hits = hits_of(report(*arguments))
            for name in hits:
                for blocks, limit in hits["belady"].items():
                    with self.subTest(policy=name, blocks=blocks):
                        self.assertLessEqual(hits[name][blocks], limit)

    def test_trace__options__each_changes_what_is_reported(self):
        said = report("--policy", "lru", "--policy", "arc", "--memory", "1000", "--memory", "2000")
        hits = hits_of(said)
        self.assertEqual(list(hits), ["lru", "arc"])
        self.assertEqual(list(hits["lru"]), [1000, 2000])
        early = report("--policy", "lru", "--memory", "1000", "--from-ms", "600000",
                       "--to-ms", "1800000")
        self.assertEqual(early["counted_references"], 97793)
        self.assertEqual(early["counted_requests"], 3969)
        self.assertNotEqual(hits_of(early)["lru"], {1000: hits["lru"][1000]})
        other = report("--policy", "w-tinylfu", "--memory", "1000", "--order", "prefix")
        same = report("--policy", "w-tinylfu", "--memory", "1000")
        self.assertNotEqual(hits_of(other), hits_of(same))
        text = run(TRACE, "--policy", "lru", "--memory", "1000")
        self.assertEqual(text.returncode, 0)
        self.assertIn("counted: 6312 requests from 1800000 ms on, 142036 blocks; the 5719 before",
                      text.stdout)
        self.assertRegex(text.stdout, r"\nlru +\d+\.\d{3}  least recently used\n$")

    def test_trace__twice__says_the_same(self):
        self.assertEqual(run(TRACE, "--json").stdout, output())

    def test_trace__wrong_command_lines__exit_2_and_say_what_is_wrong(self):
        for arguments, complaint in (
            ([], "trace needs a FILE"),
            (["a", "b"], "'b' is a second one"),
            ([TRACE, "--fast", "1"], "no option '--fast'"),
            ([TRACE, "--memory"], "--memory needs a value"),
            ([TRACE, "--memory", "1"], "--memory '1'"),
            ([TRACE, "--memory", "2x"], "--memory '2x'"),
            ([TRACE, *["--memory", "2"] * 33], "32 times"),
            ([TRACE, "--policy", "clairvoyant"], "no policy 'clairvoyant'"),
            ([TRACE, "--order", "random"], "--order 'random'"),
            ([TRACE, "--from-ms", "x"], "--from-ms 'x'"),
        ):
            with self.subTest(arguments=arguments):
                child = run(*arguments)
                self.assertEqual(child.returncode, 2, child)
                self.assertIn(complaint, child.stderr)
                self.assertEqual(child.stdout, "")

    def test_trace__damaged_file__exits_1_and_names_the_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write('{"timestamp": 0, "hash_ids": [1]}\n{"timestamp": 0}\n')
            file.flush()
            child = run(file.name)
            self.assertEqual(child.returncode, 1)
            self.assertIn(f"{file.name}:2: 'hash_ids' is no list", child.stderr)


if __name__ == "__main__":
    unittest.main()
