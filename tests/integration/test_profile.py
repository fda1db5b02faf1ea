#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles of a real node under load, as google-pprof fetches and reads them."""

import http.client
import json
import os
import subprocess
import tempfile
import threading
import time
import unittest

from load import Load, Store
from node import MEMKV, SocketConnection, environment, run_memkv

SECONDS = 2
SAMPLES_S_MAX = 120
TAKEN_S_MAX = 60
LOAD_S_MAX = 300
PPROF_S_MAX = 240
STOP_S_MAX = 200


class ProfileTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def start(self, *arguments):
        self.store = Store(store_size="256MiB", memory="256MiB")
        self.addCleanup(self.store.close)
        return self.store.start(*arguments)

    def load(self):
        load = Load(self.store, "--threads", "2", "--keys", "40", "--bytes-max", "1000000")
        load.begin("--seconds", str(LOAD_S_MAX))
        self.addCleanup(load.child.communicate)
        self.addCleanup(load.child.kill)

    def fetch(self, node, path, body=None):
        """The HTTP status and the bytes of an answer, to a POST where there is a body to send."""
        connection = SocketConnection(node.socket)
        try:
            connection.request("GET" if body is None else "POST", path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def url(self, node, path):
        """What google-pprof asks for. It asks with curl, which reads how to reach the node."""
        with open(os.path.join(self.folder, ".curlrc"), "w", encoding="utf-8") as file:
            file.write(f'unix-socket = "{node.socket}"\n')
        return f"http://localhost{path}"

    def pprof(self, *arguments):
        """What google-pprof prints. It keeps what it fetches in the folder of the test."""
        child = subprocess.run(
            ["google-pprof", *arguments], capture_output=True, text=True, check=False,
            timeout=PPROF_S_MAX, env=environment(PPROF_TMPDIR=self.folder, HOME=self.folder))
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        return child.stdout

    def test_profile__under_load__google_pprof_names_functions_of_ours(self):
        node = self.start()
        self.load()
        # It is samples of CPU time, of which a node that waits for its drive needs little.
        end_s = time.monotonic() + SAMPLES_S_MAX
        text = ""
        while "mkv_shard_thread" not in text and time.monotonic() < end_s:
            # Without the program at hand: names come from the node.
            text = self.pprof("--text", f"--seconds={SECONDS}",
                              self.url(node, "/debug/pprof/profile"))
        self.assertRegex(text, r"(?m)^ +0 .* mkv_shard_thread$")
        # What flame graphs are made of: whole stacks, from the thread's beginning.
        files = [os.path.join(self.folder, name) for name in os.listdir(self.folder)
                 if name.startswith("memkv.")]
        stacks = self.pprof("--collapsed", MEMKV, max(files, key=os.path.getmtime))
        self.assertRegex(stacks, r"mkv_shard_thread<\w+>;\w+.*;\w+")

    def taking(self, node, seconds):
        """A thread that takes a profile, when it does so, and the list for its answer."""
        answers = []

        def take():
            try:
                answers.append(self.fetch(node, f"/debug/pprof/profile?seconds={seconds}"))
            except (OSError, http.client.HTTPException) as error:
                answers.append(error)

        taker = threading.Thread(target=take)
        taker.start()
        self.addCleanup(taker.join)
        end_s = time.monotonic() + TAKEN_S_MAX
        while "memkv-later" not in node.thread_names():
            self.assertLess(time.monotonic(), end_s, "nobody takes the profile")
        return taker, answers

    def test_profile__while_one_is_taken__others_are_served_and_a_stop_cuts_it_short(self):
        node = self.start()
        status, body = self.fetch(node, "/debug/pprof/profile?seconds=1")
        self.assertEqual(status, 200)
        self.assertIn(b"memkv", body)
        # Its log is what it was before: lines of its own.
        self.assertEqual([line for line in node.errors if "PROFILE" in line], [])
        taker, answers = self.taking(node, 300)
        status, body = node.http("/debug/pprof/profile?seconds=1")
        self.assertEqual(status, 409)
        self.assertIn("already", json.loads(body)["error"])
        # The listener is free meanwhile: what it answers does not wait for the profile.
        self.assertEqual(node.http("/v1/live")[0], 200)
        self.assertEqual(answers, [])
        self.store.stop()
        taker.join(STOP_S_MAX)
        self.assertEqual(len(answers), 1, "it was not cut short")

    def test_profile__wrong_seconds__refused_by_their_bounds(self):
        node = self.start()
        for seconds in ("0", "301", "-1", "many", ""):
            status, body = node.http(f"/debug/pprof/profile?seconds={seconds}")
            self.assertEqual(status, 400, seconds)
            self.assertIn("from 1 to 300", json.loads(body)["error"])

    def test_profile__symbols_and_command_line__as_google_pprof_asks(self):
        node = self.start()
        self.assertRegex(node.http("/debug/pprof/symbol")[1], r"^num_symbols: [1-9]\d*\n$")
        self.assertEqual(self.fetch(node, "/debug/pprof/symbol", b"0x1+0x2+nonsense"), (200, b""))
        words = node.http("/debug/pprof/cmdline")[1].split("\n")
        self.assertEqual(words[:2], [MEMKV, "start"])

    def test_profile__heap_without_the_option__says_how(self):
        status, body = self.start().http("/debug/pprof/heap")
        self.assertEqual(status, 409)
        self.assertIn("memkv start --heap-profile", json.loads(body)["error"])

    def test_profile__heap__google_pprof_names_who_allocates(self):
        node = self.start("--heap-profile")
        self.assertEqual(node.http("/debug/pprof/cmdline")[1].split("\n")[1], "start")
        text = self.pprof("--text", "--inuse_space", MEMKV, self.url(node, "/debug/pprof/heap"))
        self.assertRegex(text, r"mkv_\w+")
        # It went on as the same process, and its environment does not show how.
        with open(f"/proc/{node.pid}/comm", encoding="ascii") as file:
            self.assertEqual(file.read(), "memkv\n")

    def test_profile__heap_profile_without_the_library__refused(self):
        env = environment(LD_PRELOAD="libtcmalloc.so.4", LD_LIBRARY_PATH=self.folder)
        # A file of that name that has nothing in it: it is found, and what is needed is not.
        subprocess.run(["gcc", "-shared", "-x", "c", "/dev/null", "-o",
                        os.path.join(self.folder, "libtcmalloc.so.4")], check=True, timeout=60)
        child = run_memkv("start", "--heap-profile", "--dev", os.path.join(self.folder, "data"),
                          env=env)
        self.assertEqual(child.returncode, 69, child.stderr)
        self.assertIn("libgoogle-perftools4", child.stderr)


if __name__ == "__main__":
    unittest.main()
