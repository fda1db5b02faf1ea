#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Retention tiers decide who leaves a full store, and sessions move their keys down."""

import os
import re
import shutil
import tempfile
import time
import unittest

from node import Node

STORE_MIB = 256
# All of one size, so that there is one class of slots: a class may take another one's extent, which
# evicts blocks of any tier.
VALUE_BYTES = 4 << 20
KEY_BYTES = 32
TIERS = ("think_complete", "unhinted", "think_active", "output_critical")
EACH = 8
WAIT_S = 30


class SessionsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-sessions-")
        self.addCleanup(shutil.rmtree, self.directory)

    def start(self, storage=""):
        config = os.path.join(self.directory, "memkv.yaml")
        store = os.path.join(self.directory, "store.memkv")
        with open(config, "w", encoding="utf-8") as file:
            # The least memory there can be, so that what is got comes from the drive.
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       f"storage:\n  mode: file\n{storage}"
                       f"  drives:\n    - {{media: {store}, size: {STORE_MIB}MiB}}\n")
        node = Node("--config", config)
        self.addCleanup(node.__exit__)
        return node.ready()

    def put(self, node, key, *options):
        path = os.path.join(self.directory, "value")
        with open(path, "wb") as file:
            file.write(key.encode().ljust(KEY_BYTES) * (VALUE_BYTES // KEY_BYTES))
        child = node.command("put", *options, key, path)
        self.assertEqual(child.returncode, 0, child.stderr)

    def session(self, node, *words, code=0):
        child = node.command("session", *words)
        self.assertEqual(child.returncode, code, child.stderr)

    def metrics(self, node, *names):
        """Of one scrape, whose figures are of one moment, which may be a little while ago."""
        text = node.http("/v1/metrics")[1]
        found = [re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE) for name in names]
        self.assertNotIn(None, found, names)
        return [float(one.group(1)) for one in found]

    def metric(self, node, name):
        return self.metrics(node, name)[0]

    def tiers(self, node, family="memkv_blocks_by_tier"):
        return self.metrics(node, *(f'{family}{{tier="{tier}"}}' for tier in TIERS))

    def until(self, what, value):
        deadline_s = time.monotonic() + WAIT_S
        while True:
            got = what()
            if got == value:
                return
            self.assertLess(time.monotonic(), deadline_s, f"{got}, not {value}")
            time.sleep(0.05)

    def wait(self, node, name, value):
        self.until(lambda: self.metric(node, name), value)

    def wait_tiers(self, node, counts):
        self.until(lambda: self.tiers(node), counts)

    def test_tiers__full_store__lower_ones_leave_first(self):
        # Nor does a block stay because the scrubber reads it just now.
        node = self.start("  scrub_rate: 0B\n")
        # The highest are the oldest: age alone would evict them first.
        for tier in reversed(TIERS):
            for number in range(EACH):
                self.put(node, f"{tier}-{number}", "--tier", tier)
        self.wait_tiers(node, [EACH] * 4)
        self.assertEqual(len(node.status()["storage"]["devices"][0]["classes"]), 1)
        evicted = "memkv_evictions_total"
        number = 0
        while self.tiers(node, evicted)[2] < EACH // 2:
            self.put(node, f"more-{number}", "--tier", "output_critical")
            number += 1
            counts = self.tiers(node, evicted)
            for tier in range(1, 4):
                if counts[tier] > 0:
                    self.assertEqual(counts[:tier], [EACH] * tier)
            self.assertLess(number, STORE_MIB)
        self.assertEqual(self.metric(node, "memkv_output_critical_evictions_total"), 0)
        for number in range(EACH):
            self.assertEqual(node.command("exists", f"output_critical-{number}").returncode, 0)
        lifetimes, idle = self.metrics(node, "memkv_block_lifetime_seconds_count",
                                       "memkv_block_idle_before_evict_seconds_count")
        self.assertEqual(lifetimes, idle)

    def test_session__exit_think_end_and_free__move_its_keys(self):
        node = self.start()
        for number in range(3):
            self.put(node, f"thought-{number}", "--tier", "think_active", "--session", "7")
            self.put(node, f"other-{number}", "--tier", "think_active", "--session", "8")
        self.put(node, "answer", "--tier", "output_critical", "--session", "7")
        self.wait_tiers(node, [0, 0, 6, 1])
        self.wait(node, "memkv_sessions_tracked", 2)
        self.session(node, "7", "exit-think", "4000", "hard_cap")
        self.wait(node, 'memkv_demotions_total{cause="exit_think"}', 3)
        self.wait_tiers(node, [3, 0, 3, 1])
        self.assertEqual(self.metric(node, 'memkv_budget_force_total{reason="hard_cap"}'), 1)
        self.assertEqual(
            self.metric(node, 'memkv_think_tokens_per_session_bucket{le="4096.0"}'), 1)
        self.session(node, "7", "end")
        self.wait(node, 'memkv_demotions_total{cause="session_end"}', 1)
        self.session(node, "7", "end", code=1)
        self.session(node, "8", "free")
        self.wait(node, 'memkv_blocks_by_tier{tier="think_active"}', 0)
        self.wait_tiers(node, [4, 0, 0, 0])
        self.assertEqual(self.metric(node, "memkv_l2_evicted_keys_total"), 0)
        self.assertEqual(self.metric(node, "memkv_sessions_tracked"), 0)
        # Who starts anew knows the tiers of the puts alone, and no sessions.
        self.assertEqual(node.terminate(), 0)
        node = self.start()
        self.wait_tiers(node, [0, 0, 3, 1])
        self.assertEqual(self.metric(node, "memkv_sessions_tracked"), 0)
        self.assertEqual(node.command("exists", "other-0").returncode, 1)

    def test_session__nobody_names_it__ends_by_itself(self):
        node = self.start("  session_idle: 1s\n")
        self.put(node, "key", "--tier", "output_critical", "--session", "7")
        self.wait(node, 'memkv_demotions_total{cause="idle"}', 1)
        self.wait_tiers(node, [1, 0, 0, 0])
        self.session(node, "7", "exit-think", "1", "converged", code=1)

    def test_session__malformed__is_a_matter_of_usage(self):
        node = self.start()
        for words in (("0", "end"), ("x", "end"), ("7", "stop"), ("7", "exit-think"),
                      ("7", "exit-think", "5", "tired"), ("7", "end", "now")):
            self.session(node, *words, code=2)
        self.session(node, "7", "begin")
        path = os.path.join(self.directory, "config")
        with open(path, "wb") as file:
            file.write(b"v")
        self.assertEqual(node.command("put", "--tier", "high", "k", path).returncode, 2)
        self.assertEqual(node.command("put", "--session", "0", "k", path).returncode, 2)


if __name__ == "__main__":
    unittest.main()
