#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory is what the configuration says, and does not grow with use.

The resident size after 40 seconds of load from several clients, who also come and go, and of
scrapes and status requests, is that after ten seconds.
"""

import os
import time
import unittest

from load import Load, Store

LONG = os.environ.get("MKV_LONG") == "1"

MEMORY_MIB = 72
EARLY_S = 10
LATE_S = 600 if LONG else 40
# What a process may have beside memory.max_size: program, libraries, stacks, rings, HTTP, and what
# is kept of latencies, hot keys, logs and the last ten minutes.
BESIDE_MIB_MAX = 32
# What may come late once, such as a page of the program that was not used before.
GROWTH_KIB_MAX = 512
SAMPLE_S = 0.5


class MemoryTest(unittest.TestCase):
    def watch(self, store, began, until_s):
        """The resident size at that time since `began`; scrapes while it waits."""
        while time.monotonic() - began < until_s:
            self.assertEqual(store.node.http("/v1/metrics")[0], 200)
            self.assertEqual(store.node.http("/v1/status")[0], 200)
            time.sleep(SAMPLE_S)
        return store.resident_bytes()

    def test_memory__load_goes_on__is_that_after_ten_seconds(self):
        store = Store(memory=f"{MEMORY_MIB}MiB")
        self.addCleanup(store.close)
        load = Load(store, "--threads", "6", "--keys", "48")
        store.start()
        idle = store.resident_bytes()
        load.begin("--seconds", LATE_S + 5, "--reconnect-every", 50)
        began = time.monotonic()
        early = self.watch(store, began, EARLY_S)
        late = self.watch(store, began, LATE_S)
        totals = load.end(LATE_S + 60)
        store.stop()
        print(f"resident: {idle >> 10} KiB idle, {early >> 10} KiB after {EARLY_S} s, "
              f"{late >> 10} KiB after {LATE_S} s of {totals['puts']} puts, {totals['gets']} gets "
              f"and {totals['bytes'] >> 20} MiB; memory.max_size is {MEMORY_MIB << 10} KiB")
        self.assertFalse(totals["server_gone"])
        self.assertGreater(totals["puts"], 1000)
        self.assertGreater(totals["gets"], 1000)
        self.assertGreaterEqual(early, MEMORY_MIB << 20, "memory is reserved at the start")
        self.assertLess(late, (MEMORY_MIB + BESIDE_MIB_MAX) << 20)
        self.assertLess(late, early + (GROWTH_KIB_MAX << 10))


if __name__ == "__main__":
    unittest.main()
