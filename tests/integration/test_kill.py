#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged survives kill -9 of the daemon: puts are identical, deletes stay deleted.

Several clients load a real daemon on a real file; it is killed at a random moment and started
again, over and over. What the clients were answered stands in a log, and after each start all of it
is verified: an operation that was under way has happened in whole or not at all.
"""

import random
import time
import unittest

from load import Load, Store

LOAD_S_MIN = 0.02
LOAD_S_MAX = 0.2
# Of the kills, this share is followed by a second one while the daemon is starting.
STARTING_SHARE = 0.2
STARTING_S_MAX = 0.08


class Tally:
    """Sums of what the load came to."""

    def __init__(self):
        self.kills = 0
        self.kills_while_starting = 0
        self.sums = {}

    def add(self, totals):
        for name, count in totals.items():
            self.sums[name] = self.sums.get(name, 0) + int(count)

    def __getitem__(self, name):
        return self.sums.get(name, 0)

    def __str__(self):
        return (
            f"{self.kills} kills under load, {self.kills_while_starting} more while starting; "
            f"acknowledged {self['puts']} puts and {self['deletes']} deletes, "
            f"verified {self['gets']} blocks ({self['bytes'] >> 20} MiB moved); "
            f"under way when killed: {self['settled_old']} undone, {self['settled_new']} done"
        )


class KillTest(unittest.TestCase):
    def kill_under_load(self, kills, seed, block_bytes_max):
        choice = random.Random(seed)
        tally = Tally()
        store = Store(block_bytes_max=block_bytes_max)
        self.addCleanup(store.close)
        load = Load(store, "--threads", "4", "--keys", "32")
        store.start()
        for number in range(kills):
            load.begin("--seconds", "60", "--seed", seed * 1000 + number)
            time.sleep(choice.uniform(LOAD_S_MIN, LOAD_S_MAX))
            store.kill()
            tally.kills += 1
            tally.add(load.end())
            if choice.random() < STARTING_SHARE:
                store.spawn()
                time.sleep(choice.uniform(0, STARTING_S_MAX))
                store.kill()
                tally.kills_while_starting += 1
            store.start()
            tally.add(load.verify())
        store.stop()
        store.start()
        tally.add(load.verify())
        store.stop()
        print(tally)
        self.assertEqual(tally["missing"], 0)
        self.assertEqual(tally["server_gone"], kills, "each load is to end with the kill")
        self.assertGreater(tally["puts"], 10 * kills)
        self.assertGreater(tally["deletes"], kills)
        self.assertGreater(tally["gets"], 10 * kills)
        self.assertGreater(tally["settled_old"] + tally["settled_new"], 0)

    def test_kill__fifty_times_under_load__loses_nothing(self):
        self.kill_under_load(50, 1, "1MiB")

    def test_kill__values_in_segments__are_whole_or_not_there(self):
        self.kill_under_load(15, 2, "128KiB")


if __name__ == "__main__":
    unittest.main()
