#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drives of the real daemon that an operator takes out, brings back, replaces and erases, under
load: no deleted block comes back, and blocks of the other drives are unharmed."""

import json
import os
import random
import shutil
import tempfile
import threading
import time
import unittest

from faults import FAULTY, Faults
from node import Node, free_port, run_memkv
from resp import Connection

DRIVES = ("d0", "d1", "d2")
KEYS = 120
LOAD_KEYS = 40
WAIT_S_MAX = 60


class Load:
    """A client that sets, gets and deletes its own keys. A key may be a miss at any time, drives
    come and go; it may never hold what was deleted or replaced before."""

    def __init__(self, port, seed, before=None):
        self._random = random.Random(seed)
        self._connection = Connection(port)
        self._allowed = before.allowed() if before else {}  # key -> values that it may hold
        self._stop = threading.Event()
        self.faults = []
        self.done = {"set": 0, "hit": 0, "miss": 0, "del": 0, "refused": 0}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _turn(self, number):
        key = f"load-{self._random.randrange(LOAD_KEYS)}"
        kind = self._random.randrange(4)
        allowed = self._allowed.setdefault(key, set())
        if kind == 0:
            value = f"{key} {number} ".encode() * self._random.randrange(1, 400)
            reply = self._connection.call("SET", key, value)
            if reply == b"+OK\r\n":
                self._allowed[key] = {value}
                self.done["set"] += 1
            else:
                allowed.add(value)  # it may have been stored
                self.done["refused"] += 1
        elif kind == 1:
            reply = self._connection.call("DEL", key)
            if reply.startswith(b":"):
                self._allowed[key] = set()
                self.done["del"] += 1
            else:
                self.done["refused"] += 1
        else:
            value = self._connection.bulk("GET", key)
            self.done["miss" if value is None else "hit"] += 1
            if value is not None and value not in allowed:
                self.faults.append(f"{key} holds {value[:40]!r} of {len(value)} bytes, "
                                   f"may hold {[one[:40] for one in allowed]}")

    def _run(self):
        try:
            self._turns()
        except OSError as error:
            self.faults.append(f"the connection ended: {error}")

    def _turns(self):
        number = 0
        while not self._stop.is_set() and not self.faults:
            number += 1
            self._turn(number)
            time.sleep(0.002)

    def allowed(self):
        return self._allowed

    def end(self):
        self._stop.set()
        self._thread.join(WAIT_S_MAX)
        self._connection.close()


class DriveLifeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-life-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.port = free_port()

    def media(self, name):
        return os.path.join(self.folder, f"{name}.memkv")

    def start(self, shards, media=None, **options):
        path = os.path.join(self.folder, "memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 192MiB}\nlog: {format: text}\n"
                       f"node: {{shards: {shards}}}\n"
                       f"audit: {{file: {self.folder}/audit.log}}\n"
                       "resp: {durability: durable}\nstorage:\n  mode: file\n  drives:\n")
            for name in DRIVES:
                path_of = (media or {}).get(name, self.media(name))
                file.write(f"    - {{name: {name}, media: {path_of}, size: 96MiB}}\n")
        node = Node("--config", path, "--resp", f"127.0.0.1:{self.port}", **options)
        self.addCleanup(node.__exit__)
        node.ready()
        return node

    def drive(self, node, *arguments, expected=0):
        waits = [] if arguments[0] in ("list", "show") else ["--timeout", str(WAIT_S_MAX)]
        done = run_memkv("admin", "drive", *arguments, "--socket", node.socket, *waits)
        if expected is not None:
            self.assertEqual(done.returncode, expected, (arguments, done.stdout, done.stderr,
                                                         node.errors[-20:]))
        return done.stdout + done.stderr

    def states(self, node):
        return {device["device_id"]: device["state"]
                for device in node.status()["storage"]["devices"]}

    def blocks(self, node):
        return {device["device_id"]: device["blocks"]
                for device in node.status()["storage"]["devices"]}

    def held(self, client, keys):
        return {key for key in keys if client.bulk("GET", key) == key.encode() * 50}

    def put(self, client, keys):
        for key in keys:
            self.assertEqual(client.call("SET", key, key.encode() * 50), b"+OK\r\n")

    def take_out_and_back(self, node, client, keys):
        """Returns keys that were deleted while d1 was away."""
        before = self.held(client, keys)
        blocks = self.blocks(node)
        said = self.drive(node, "offline", "d1")
        self.assertRegex(said, r"drive d1 is offline.*\d+\.\d % of blocks become misses")
        self.assertEqual(self.states(node)["d1"], "offline")
        self.assertEqual(node.status()["node"]["drive_set_members"], 2)
        self.assertIn("DRIVE_OFFLINE", [one["code"] for one in node.status()["warnings"]])
        left = self.held(client, keys)
        lost = sorted(before - left)
        self.assertTrue(lost, blocks)
        self.assertGreater(len(left), KEYS // 3)  # blocks of the others are unharmed
        self.put(client, lost)
        deleted = lost[: len(lost) // 2]
        for key in deleted:
            self.assertEqual(client.call("DEL", key), b":1\r\n")
        said = self.drive(node, "online", "d1")
        self.assertIn("drive d1 is online", said)
        self.assertEqual(self.states(node)["d1"], "online")
        self.assertEqual(node.status()["node"]["drive_set_members"], 3)
        self.assertNotIn("DRIVE_OFFLINE", [one["code"] for one in node.status()["warnings"]])
        self.assertFalse(self.held(client, deleted))
        self.put(client, [key for key in keys if key not in deleted])
        self.assertEqual(len(self.held(client, keys)), KEYS - len(deleted))
        return deleted

    def out_and_back(self, shards):
        keys = [f"key-{number}" for number in range(KEYS)]
        node = self.start(shards)
        load = Load(self.port, shards)
        with Connection(self.port) as client:
            self.put(client, keys)
            deleted = self.take_out_and_back(node, client, keys)
            load.end()
            self.assertFalse(load.faults)
        self.assertGreater(min(load.done["set"], load.done["hit"], load.done["del"]), 0, load.done)
        self.assertEqual(node.terminate(), 0, node.errors)
        return keys, deleted, load

    def test_one_shard__a_drive_is_taken_out_and_back__nothing_deleted_returns(self):
        self.out_and_back(1)

    def test_two_shards__drives_come_and_go__nothing_deleted_returns(self):
        shards = 2
        keys, deleted, load = self.out_and_back(shards)
        node = self.start(shards)
        load = Load(self.port, shards + 10, load)
        new = self.media("new")
        with Connection(self.port) as client:
            self.assertEqual(len(self.held(client, keys)), KEYS - len(deleted))
            self.assertFalse(self.held(client, deleted))
            said = self.drive(node, "replace", "d2", new, expected=1)
            self.assertRegex(said, r"\d+\.\d % of blocks become misses.*; add --yes")
            self.assertEqual(self.states(node)["d2"], "online")
            said = self.drive(node, "replace", "d2", new, "--yes")
            self.assertIn(f"write its media: {new}", said)
            self.assertEqual(self.states(node)["d2"], "online")
            self.assertFalse(self.held(client, deleted))
            self.put(client, keys)
            load.end()
            self.assertFalse(load.faults)
            self.refusals(node)
            self.drain(node, client, keys)
            self.erase(node)
            self.put(client, keys)
        self.assertRegex(node.http("/v1/metrics")[1],
                         r'memkv_transport_transitions_total\{.*kind="drive_offline"')
        self.assertEqual(node.terminate(), 0, node.errors)
        with open(os.path.join(self.folder, "audit.log"), encoding="utf-8") as file:
            told = [json.loads(line) for line in file]
        self.assertTrue([one for one in told if one["operation"] == "drive_life" and
                         one["entity"] == "drive d1" and "offline" in one["reason"]])

        node = self.start(shards, media={"d2": new})  # as the node said
        with Connection(self.port) as client:
            self.assertEqual(len(self.held(client, keys)), KEYS)
        self.assertEqual(node.terminate(), 0, node.errors)

    def refusals(self, node):
        self.assertIn("there is no drive", self.drive(node, "offline", "d9", expected=1))
        self.assertIn("is not offline", self.drive(node, "erase", "d0", "--yes", expected=1))
        self.assertIn("drive d0 is online", self.drive(node, "online", "d0", expected=1))
        self.assertIn("in use", self.drive(node, "replace", "d0", self.media("d1"), "--yes",
                                           expected=4))
        code, _ = node.http_tcp("/v1/drives/d0/offline", method="POST")
        self.assertEqual(code, 401)
        self.unfit(node)
        self.assertEqual(set(self.states(node).values()), {"online"})

    def unfit(self, node):
        """What is no drive for this store is refused, and left as it was."""
        other = os.path.join(self.folder, "other")
        with open(other, "wb") as file:
            file.write(b"mine " * 50000)
            file.truncate(96 << 20)
        short = os.path.join(self.folder, "short")
        with open(self.media("d0"), "rb") as store, open(short, "wb") as file:
            shutil.copyfileobj(store, file)
            file.truncate(64 << 20)
        for path, why in ((other, "holds something that is no store"),
                          (short, "is smaller than the store on it"),
                          (self.folder, "is a directory"),
                          ("/dev/zero", "neither a file nor a block device"),
                          (os.path.join(self.folder, "no", "such"), "does not exist")):
            with self.subTest(path=path):
                said = self.drive(node, "replace", "d1", path, "--yes", expected=4)
                self.assertIn(why, said)
        with open(other, "rb") as file:
            self.assertEqual(file.read(250000), b"mine " * 50000)

    def drain(self, node, client, keys):
        self.assertIn("drive d1 drains", self.drive(node, "drain", "d1"))
        self.assertEqual(self.states(node)["d1"], "draining")
        self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "degraded")
        self.assertRegex(self.drive(node, "list"), r"d1 +draining")
        self.assertRegex(self.drive(node, "show", "d1"), r"draining.*\n(.*\n)*to do .*drive online")
        self.assertRegex(node.http("/v1/metrics")[1],
                         r'memkv_device_state\{[^}]*device="d1"[^}]*state="draining"[^}]*\} 1')
        refused = [key for key in keys if client.call("SET", key, b"new") != b"+OK\r\n"]
        self.assertTrue(refused)
        self.assertLess(len(refused), KEYS)
        self.assertEqual(self.held(client, refused), set(refused))  # what it holds is served
        self.assertEqual(client.call("DEL", refused[0]), b":1\r\n")
        self.assertIn("drive d1 is online", self.drive(node, "online", "d1"))
        self.put(client, keys)

    def erase(self, node):
        self.drive(node, "offline", "d0")
        self.drive(node, "offline", "d1")
        self.drive(node, "drain", "d2")  # the only one that is left: what it holds is served
        self.assertEqual(json.loads(node.http("/v1/health")[1])["status"], "degraded")
        self.assertRegex(self.drive(node, "list"), r"d0 +offline")
        self.drive(node, "online", "d2")
        self.assertIn("no other drive serves", self.drive(node, "offline", "d2", expected=4))
        own = self.media("d0") + ".own"  # by now the path names another drive
        os.rename(self.media("d0"), own)
        with open(self.media("d0"), "wb") as file:
            file.write(b"mine " * 50000)
            file.truncate(96 << 20)
        for action in (("erase", "d0", "--yes"), ("online", "d0")):
            self.assertIn("holds something that is no store", self.drive(node, *action, expected=4))
        with open(self.media("d0"), "rb") as file:
            self.assertEqual(file.read(250000), b"mine " * 50000)
        os.rename(own, self.media("d0"))
        self.assertIn("is blank", self.drive(node, "erase", "d0", "--yes"))
        with open(self.media("d0"), "rb") as file:
            self.assertFalse(any(file.read(1 << 20)))
        self.drive(node, "online", "d0")
        self.drive(node, "online", "d1")
        self.assertEqual(set(self.states(node).values()), {"online"})

    def start_faulty(self):
        path = os.path.join(self.folder, "faults")
        faults = Faults(path)
        self.addCleanup(faults.close)
        node = self.start(1, program=FAULTY, variables={"MKV_FAULTY_DRIVES": path})
        return node, faults

    def soon(self, look, what):
        end = time.monotonic() + WAIT_S_MAX
        while not look():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    def test_drive__is_gone_and_replugged__online_and_healthy(self):
        keys = [f"key-{number}" for number in range(KEYS)]
        node, faults = self.start_faulty()
        with Connection(self.port) as client:
            self.put(client, keys)
            faults.gone(1, "read", "write", "flush", "trim")
            for key in keys:
                client.call("SET", key, b"other")
            self.soon(lambda: self.states(node)["d1"] == "failed", "d1 does not fail")
            self.assertEqual(node.status()["node"]["state"], "degraded")
            self.soon(lambda: client.call("SET", "key-1", b"x") == b"+OK\r\n", "no puts")
            refused = self.drive(node, "online", "d1", "--timeout=0", expected=None)
            self.assertTrue(refused)
            faults.heal()
            self.soon(lambda: "is online" in self.drive(node, "online", "d1", expected=None),
                      "d1 does not come back")
            self.assertEqual(node.status()["node"]["state"], "serving")
            self.put(client, keys)
            self.assertEqual(len(self.held(client, keys)), KEYS)
        self.assertEqual(node.terminate(), 0, node.errors)

    def test_drive__does_not_answer__taken_out_all_the_same(self):
        keys = [f"key-{number}" for number in range(KEYS)]
        node, faults = self.start_faulty()
        with Connection(self.port) as client:
            self.put(client, keys)
            faults.stall(1)
            said = run_memkv("admin", "drive", "offline", "d1", "--socket", node.socket,
                             "--timeout", "2")
            self.assertEqual(said.returncode, 1, said.stdout)
            self.assertIn("still under way: d1 ends what it has under way", said.stderr)
            self.assertEqual(node.status()["node"]["drive_set_members"], 2)
            self.put(client, keys)  # the others have them all
            self.assertIn("another drive is being changed",
                          self.drive(node, "offline", "d0", expected=1))
            faults.heal()
            self.soon(lambda: "d1 is offline" in self.drive(node, "offline", "d1", expected=None),
                      "d1 does not close")
            self.assertIn("is online", self.drive(node, "online", "d1"))
        self.assertEqual(node.terminate(), 0, node.errors)


if __name__ == "__main__":
    unittest.main()
