#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged as durable survives a power cut: puts are identical, deletes stay deleted.

A node on a raw NVMe drive with a volatile cache, in a machine of the lab, loses its power under
load and while it starts, with the machine and without it (power.py says how). A daemon that answers
flushes without doing them has to be found out by the same cuts.

MKV_POWER_SEED takes another seed than 3, to replay; --long makes 20 cuts of 3.
"""

import os
import unittest

from node import MEMKV
from power import UNFLUSHED, Cuts, PoweredMachine, PoweredStore

LONG = os.environ.get("MKV_LONG") == "1"
SEED = int(os.environ.get("MKV_POWER_SEED", "3"))
# After so many cuts within the machine comes one with it.
CUTS_WITHIN = 4 if LONG else 2


class PowerCutTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = PoweredMachine([MEMKV, UNFLUSHED])
        cls.addClassCleanup(cls.place.off)

    def cuts(self, program, port, seed, sector_bytes=512):
        store = PoweredStore(self.place, program, port, sector_bytes)
        self.addCleanup(store.close)
        return Cuts(store, seed)

    def lose_power(self, cuts, count):
        for number in range(1, count + 1):
            cuts.one(number % (CUTS_WITHIN + 1) == 0)
        cuts.last()
        print(f"{cuts}; {self.place.boots} boots")
        self.assertEqual(cuts["missing"], 0)
        self.assertGreater(cuts["puts"], count)
        self.assertGreater(cuts["gets"], count)

    def test_power_cut__daemon_without_its_flush__is_found_out(self):
        cuts = self.cuts(UNFLUSHED, 9000, SEED)
        with self.assertRaisesRegex(AssertionError, "owed: a value|the store does not open"):
            for _ in range(8):  # some cuts keep all of the cache
                cuts.one()
            cuts.last()

    def test_power_cut__under_load_and_while_starting__loses_nothing(self):
        self.lose_power(self.cuts(MEMKV, 9002, SEED), 10 if LONG else 3)

    @unittest.skipUnless(LONG, "ten more cuts with --long")
    def test_power_cut__sectors_of_4096__loses_nothing(self):
        self.lose_power(self.cuts(MEMKV, 9004, SEED + 1, 4096), 10)


if __name__ == "__main__":
    unittest.main()
