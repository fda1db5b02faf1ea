#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv start --record` and `memkv-sim replay`: the same core and inputs, so the same effects."""

import ctypes
import json
import os
import platform
import re
import signal
import stat
import subprocess
import time
import unittest

from load import Load, Store
from node import BUILD, Node, run_memkv

MEMKV_SIM = os.path.join(BUILD, "memkv-sim")
RECORD_EDIT = os.path.join(BUILD, "tests/integration/record_edit")
REPLAY_S_MAX = 120
LOAD_S = 2
SCRUB_S_MAX = 60
SYS_TGKILL = {"x86_64": 234, "aarch64": 131}.get(platform.machine())
HEADER_BYTES = 128


def replay(path, *options):
    child = subprocess.run([MEMKV_SIM, "replay", path, *options], capture_output=True, text=True,
                           check=False, timeout=REPLAY_S_MAX)
    return child.returncode, child.stdout, child.stderr


def edit(what, path, out):
    child = subprocess.run([RECORD_EDIT, what, path, out], capture_output=True, text=True,
                           check=False, timeout=REPLAY_S_MAX)
    if child.returncode != 0:
        raise AssertionError(child.stderr)
    return child.stdout.strip()


class RecordTest(unittest.TestCase):
    def setUp(self):
        self.store = Store()
        self.addCleanup(self.store.close)
        self.load = Load(self.store, "--threads", "4", "--keys", "64", "--bytes-max", "300000")

    def path(self, name):
        return os.path.join(self.store.directory, name)

    def equal(self, path, end):
        """Replays a record, which has to be as it was, and to have ended so."""
        status, out, err = replay(path, "--json")
        self.assertEqual((status, err), (0, ""), out)
        result = json.loads(out)
        self.assertTrue(result["equal"])
        self.assertEqual(result["end"], end, out)
        self.assertGreater(result["effects"], 0)
        return result

    def record_some(self, name):
        """A node that stores, finds and deletes a little while it is recorded."""
        path = self.path(name)
        node = self.store.start("--record", path)
        value = self.path("value")
        with open(value, "wb") as file:
            file.write(os.urandom(100000))
        self.assertEqual(node.command("put", "a", value).returncode, 0)
        self.assertEqual(node.command("put", "--tenant", "team", "b", value).returncode, 0)
        self.assertEqual(node.command("put", "--session", "7", "c", value).returncode, 0)
        self.assertEqual(node.command("exists", "a", "nothing").returncode, 1)
        self.assertEqual(node.command("get", "a", self.path("back")).returncode, 0)
        self.assertEqual(node.command("delete", "a").returncode, 0)
        self.store.stop()
        return path

    def test_record__load_kill_and_recovery__replay_equal(self):
        killed, recovered = self.path("killed.record"), self.path("recovered.record")
        self.store.start("--record", killed)
        self.load.begin("--seconds", "60", "--seed", 1)
        time.sleep(LOAD_S)
        self.store.kill()
        self.assertGreater(self.load.end()["puts"], 0)
        # Reads of the second run find nothing in memory, so headers come from the drive.
        node = self.store.start("--record", recovered)
        self.assertGreater(self.load.verify()["gets"], 0)
        self.assertEqual(node.command("exists", *(f"key-{i}" for i in range(200))).returncode, 1)
        self.load.begin("--seconds", LOAD_S, "--seed", 2)
        self.assertGreater(self.load.end()["puts"], 0)
        self.store.stop()
        first = self.equal(killed, "cut")
        second = self.equal(recovered, "closed")
        for result in (first, second):
            self.assertGreater(result["machines"]["front"], 1000)
            self.assertGreater(result["machines"]["volume 0"], 1000)
        self.assertIn("recorded ", self.store_text(node))
        self.assertEqual(stat.S_IMODE(os.stat(recovered).st_mode), 0o600)

    def test_record__two_drives_segments_and_lookups__replay_equal(self):
        config, path = self.path("two.yaml"), self.path("two.record")
        with open(config, "w", encoding="utf-8") as file:
            file.write("memory:\n  max_size: 128MiB\nstorage:\n  mode: file\n"
                       "  block_bytes_max: 64KiB\n  eviction: off\n  drives:\n")
            for name in ("a", "b"):
                file.write(f"    - media: {self.path(name)}\n      size: 1GiB\n")
        for number in range(2):  # the second run recovers both
            name = f"{path}.{number}"
            with Node("--config", config, "--record", name) as node:
                self.store.node = node.ready()
                self.load.begin("--seconds", LOAD_S, "--seed", number)
                self.assertGreater(self.load.end()["puts"], 0)
                self.assertEqual(node.command("put", f"k{number}", config).returncode, 0)
                self.assertEqual(self.lookup(node, [b"k0", b"k1", b"nothing"]), 1 + number)
                self.store.node = None
                self.assertEqual(node.terminate(), 0)
            result = self.equal(name, "closed")
            self.assertGreater(result["machines"]["volume 0"], 100)
            self.assertGreater(result["machines"]["volume 1"], 100)

    @staticmethod
    def lookup(node, keys):
        """How many of the keys are there, from the first on: by libmemkv, since no command asks."""
        class Key(ctypes.Structure):
            _fields_ = [("bytes", ctypes.c_char_p), ("count", ctypes.c_size_t)]

        library = ctypes.CDLL(os.path.join(BUILD, "libmemkv.so"))
        client, resident = ctypes.c_void_p(), ctypes.c_size_t()
        list_of_keys = (Key * len(keys))(*((key, len(key)) for key in keys))
        os.environ["MEMKV_SERVERS"] = node.address
        try:
            if library.memkv_open(None, ctypes.byref(client), None) != 0:
                raise AssertionError("libmemkv does not reach the node")
            status = library.memkv_lookup(client, list_of_keys, ctypes.c_size_t(len(keys)),
                                          ctypes.byref(resident), None)
            library.memkv_close(client)
        finally:
            del os.environ["MEMKV_SERVERS"]
        if status != 0:
            raise AssertionError(f"lookup failed with {status}")
        return resident.value

    @staticmethod
    def store_text(node):
        return "\n".join(node.lines + node.errors)

    @staticmethod
    def scrubbed(node):
        found = re.findall(r"^memkv_scrub_slots_total(?:\{.*\})? (\S+)$", node.http("/metrics")[1],
                           re.MULTILINE)
        return sum(float(count) for count in found)

    def test_record__payloads__are_not_in_it(self):
        path = self.path("one.record")
        node = self.store.start("--record", path)
        secret = b"this is what a client stores, and no record holds " * 2000
        with open(self.path("value"), "wb") as file:
            file.write(secret)
        self.assertEqual(node.command("put", "the-key", self.path("value")).returncode, 0)
        end = time.monotonic() + SCRUB_S_MAX
        while self.scrubbed(node) == 0:
            self.assertLess(time.monotonic(), end, "the scrubber reads nothing")
            time.sleep(0.05)
        self.store.stop()
        self.equal(path, "closed")
        with open(path, "rb") as file:
            record = file.read()
        self.assertIn(b"the-key", record)
        self.assertNotIn(secret[:40], record)

    def test_replay__any_byte_changed__named_as_damage(self):
        path = self.record_some("whole.record")
        self.equal(path, "closed")
        with open(path, "rb") as file:
            record = bytearray(file.read())
        damaged = self.path("damaged.record")
        for at in (HEADER_BYTES + 3, HEADER_BYTES + 40, len(record) // 2, len(record) - 1):
            changed = bytearray(record)
            changed[at] ^= 0x40
            with open(damaged, "wb") as file:
                file.write(changed)
            status, out, _ = replay(damaged)
            self.assertEqual(status, 1, out)
            self.assertRegex(out, r"DAMAGED chunk \d+, at byte \d+ of the file: its checksum")
            self.assertEqual(json.loads(replay(damaged, "--json")[1])["end"], "damaged")
        changed = bytearray(record)
        changed[50] ^= 1
        with open(damaged, "wb") as file:
            file.write(changed)
        status, _, err = replay(damaged)
        self.assertEqual(status, 1)
        self.assertIn("the header of the record is damaged", err)

    def test_replay__cut_anywhere__equal_to_its_last_whole_chunk(self):
        path = self.record_some("whole.record")
        whole = self.equal(path, "closed")
        with open(path, "rb") as file:
            record = file.read()
        cut = self.path("cut.record")
        for part in (1, 2, 3):
            with open(cut, "wb") as file:
                file.write(record[:len(record) * part // 4])
            result = json.loads(replay(cut, "--json")[1])
            self.assertTrue(result["equal"])
            self.assertEqual(result["end"], "cut")
            self.assertLess(result["inputs"], whole["inputs"])

    def test_replay__changed_input__departs_there(self):
        path = self.record_some("whole.record")
        changed = self.path("changed.record")
        number = edit("input", path, changed)
        status, out, _ = replay(changed)
        self.assertEqual(status, 1, out)
        self.assertIn(f"DEPARTED at input {number}, of front, at ", out)
        self.assertIn("an effect is another", out)
        lines = out.splitlines()
        self.assertIn("front    -> PUT request", lines[lines.index("input:") + 1])
        at, again = lines.index("recorded effect:"), lines.index("replayed effect:")
        recorded, replayed = lines[at + 1:again], lines[again + 1:]
        self.assertIn("front    <- PUT_BEGIN item", recorded[0])
        self.assertIn("names 1 bytes with XXH3-128 ", recorded[-1])
        # The key is another, and that is all.
        self.assertEqual(recorded[:-1], replayed[:-1])
        self.assertNotEqual(recorded[-1], replayed[-1])
        result = json.loads(replay(changed, "--json")[1])
        self.assertEqual((result["verdict"], result["input"], result["machine"]),
                         ("departed", int(number), "front"))

    def test_replay__verbose__prints_inputs_and_effects(self):
        path = self.record_some("whole.record")
        status, out, _ = replay(path, "--verbose")
        self.assertEqual(status, 0)
        for line in (r"front    -> PUT request", r"volume 0 <- DRIVE_FLUSH op",
                     r"front    \*\* volume 0 is online\n"):
            self.assertTrue(re.search(r"\n *\d+  " + line, out), line)

    def test_replay__record_of_another_build__refused(self):
        path = self.record_some("whole.record")
        other = self.path("other.record")
        edit("core", path, other)
        status, out, err = replay(other)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"other\.record was recorded by memkv [\d.]+ \(\w+\) with another "
                              r"build of the core \(\w{12}\.\.\.\) than this memkv-sim has "
                              r"\(\w{12}\.\.\.\)\. Use the memkv-sim of that build, or --any-build")
        status, out, _ = replay(other, "--any-build")
        self.assertEqual(status, 0)
        self.assertIn(" with another build of the core, begun ", out)
        result = json.loads(replay(other, "--any-build", "--json")[1])
        self.assertEqual((result["same_build"], result["equal"]), (False, True))
        self.assertTrue(json.loads(replay(path, "--json")[1])["same_build"])

    def test_replay__option_of_a_bundle__usage(self):
        path = self.record_some("whole.record")
        for options in (("--seed", "1"), ("--nonsense",), (path,)):
            status, out, err = replay(path, *options)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("replay of a record takes one file, --any-build, --json and --verbose, "
                          f"and no '{options[0]}'", err)

    def test_record__file_that_exists__refused_and_left(self):
        path = self.path("mine")
        with open(path, "w", encoding="utf-8") as file:
            file.write("mine")
        child = run_memkv("start", "--config", self.store.config, "--record", path)
        self.assertEqual(child.returncode, 74)
        self.assertIn(f"--record: {path} exists, and a record is never written over", child.stderr)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")
        nowhere = os.path.join(self.path("no-folder"), "r")
        child = run_memkv("start", "--config", self.store.config, "--record", nowhere)
        self.assertEqual(child.returncode, 74)
        self.assertIn(f"--record: cannot create {nowhere}: No such file", child.stderr)

    def test_record__start_that_fails__leaves_no_file(self):
        first = self.store.start()
        path = self.path("none.record")
        with Node("--config", self.store.config, "--record", path) as second:
            self.assertNotEqual(second.wait(), 0)
        self.assertFalse(os.path.exists(path))
        self.assertIsNone(first.status().get("error"))

    def test_record__max_size__ends_the_record_and_not_the_node(self):
        path = self.path("small.record")
        node = self.store.start("--record", path, "--record-max-size", "1MiB")
        self.load.begin("--seconds", 60, "--seed", 3)
        node.wait_for("ended after ")
        self.load.child.terminate()
        self.load.child.communicate()
        self.assertLessEqual(os.path.getsize(path), 1 << 20)
        self.assertEqual(node.command("put", "after", self.store.config).returncode, 0)
        self.store.stop()
        self.assertIn("it is as large as --record-max-size lets it become", self.store_text(node))
        self.equal(path, "size")

    @unittest.skipIf(SYS_TGKILL is None, "no number of tgkill for this machine")
    def test_record__node_that_ends_itself__has_its_last_input(self):
        path = self.path("crash.record")
        node = self.store.start("--record", path)
        self.assertEqual(node.command("put", "a", self.store.config).returncode, 0)
        tasks = f"/proc/{node.pid}/task"
        for thread in os.listdir(tasks):
            with open(f"{tasks}/{thread}/comm", encoding="utf-8") as file:
                if file.read().strip() == "memkv-shard":
                    shard = int(thread)
        # As abort() does: the first is for the handler, which is taken off by then.
        libc = ctypes.CDLL(None, use_errno=True)
        self.assertEqual(libc.syscall(SYS_TGKILL, node.pid, shard, signal.SIGABRT), 0)
        time.sleep(0.5)
        libc.syscall(SYS_TGKILL, node.pid, shard, signal.SIGABRT)
        self.assertEqual(self.store.take().wait(), -signal.SIGABRT)
        self.equal(path, "crash")


if __name__ == "__main__":
    unittest.main()
