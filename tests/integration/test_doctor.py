#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv doctor`: this host's checks, the way to another host, and command lines that are refused;
`memkv admin doctor` of a node whose process has too little."""

import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import unittest

from node import COMMAND_S_MAX, MEMKV, SOURCE, Node, environment, run_memkv

WORDS = {"pass", "warn", "fail"}
FILES_FEW = 200
MEMLOCK_FEW = 1024 * 1024


def doctor(*arguments, **options):
    return run_memkv("doctor", *arguments, **options)


def limit_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_FEW, FILES_FEW))


def limit_memlock():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (MEMLOCK_FEW, MEMLOCK_FEW))


class Answerer:
    """`memkv doctor --answer` at a free port of the loopback interface."""

    def __enter__(self):
        self.child = subprocess.Popen([MEMKV, "doctor", "--answer", "--listen", "127.0.0.1:0"],
                                      stdout=subprocess.PIPE, text=True, env=environment())
        line = self.child.stdout.readline()
        self.port = int(re.search(r"at UDP port (\d+);", line)[1])
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        said, _ = self.child.communicate(timeout=COMMAND_S_MAX)
        return self.child.returncode, said


class DoctorTest(unittest.TestCase):
    def test_host__text_and_json__the_same_checks(self):
        child = doctor("--json")
        self.assertIn(child.returncode, (0, 1), child.stderr)
        host = json.loads(child.stdout)
        self.assertEqual(list(host), ["checks", "passed", "warned", "failed"])
        for row in host["checks"]:
            self.assertEqual(list(row), ["check", "on", "result", "seen", "remedy"])
            self.assertIn(row["result"], WORDS)
            self.assertEqual(row["remedy"] == "", row["result"] == "pass", row)
        self.assertEqual(host["failed"] > 0, child.returncode == 1)
        self.assertEqual(host["passed"] + host["warned"] + host["failed"], len(host["checks"]))
        text = doctor().stdout
        self.assertTrue(text.startswith("RESULT  CHECK "), text)
        for row in host["checks"]:
            self.assertRegex(text, rf"(pass|warn|fail)  +{row['check']} ")

    def test_host__a_limit_that_is_too_low__the_check_fails_and_says_what_to_do(self):
        child = doctor("--json", preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (64, 64)))
        self.assertEqual(child.returncode, 1)
        row = next(row for row in json.loads(child.stdout)["checks"] if row["check"] == "files")
        self.assertEqual((row["result"], row["seen"]),
                         ("fail", "this process may have 64 files and connections open"))
        self.assertIn("LimitNOFILE", row["remedy"])

    def test_rdma__wanted_and_not_there__fails(self):
        if os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband"):
            self.skipTest("this machine has RDMA devices")
        child = doctor("--rdma")
        self.assertEqual(child.returncode, 1, child.stdout)
        self.assertRegex(child.stdout, r"fail +rdma_device +- +there is none")

    def test_peer__that_answers__both_directions(self):
        with Answerer() as answerer:
            child = doctor("--json", "--peer", f"127.0.0.1:{answerer.port}")
            row = json.loads(child.stdout)["checks"][-1]
            self.assertEqual((row["check"], row["result"]), ("path_mtu", "pass"))
            self.assertIn("both directions", row["seen"])
            self.assertEqual(answerer.stop(), (0, "answered 2 packets\n"))

    def test_answer__for_a_while__ends_by_itself(self):
        child = doctor("--answer", "--listen", "127.0.0.1:0", "--seconds", "1")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertTrue(child.stdout.endswith("answered 0 packets\n"), child.stdout)

    def test_answer__at_a_port_that_is_taken__said(self):
        with Answerer() as answerer:
            child = doctor("--answer", "--listen", f"127.0.0.1:{answerer.port}")
            self.assertEqual(child.returncode, 4)
            self.assertIn("cannot answer at", child.stderr)

    def test_output__that_cannot_be_written__said(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([MEMKV, "doctor"], stdout=full, stderr=subprocess.PIPE,
                                  text=True, check=False, timeout=COMMAND_S_MAX)
        self.assertEqual(done.returncode, 4)
        self.assertIn("cannot be written", done.stderr)

    def test_shards__several__need_more_locked_memory(self):
        needed = []
        for shards in "1", "4":
            done = subprocess.run(
                ["setpriv", "--bounding-set=-ipc_lock", MEMKV, "doctor", "--json", "--memory",
                 "64MiB", "--shards", shards],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                timeout=COMMAND_S_MAX, preexec_fn=limit_memlock)
            if done.stderr.startswith("setpriv: "):
                self.skipTest(f"capabilities cannot be dropped here: {done.stderr.strip()}")
            row = [row for row in json.loads(done.stdout)["checks"] if row["check"] == "memlock"][0]
            needed.append(float(re.search(r"about ([\d.]+) MiB are needed", row["seen"])[1]))
        self.assertGreaterEqual(needed[1] - needed[0], 3 * 64)

    def test_usage__nonsense__refused_by_name(self):
        for arguments, error in (
                (("x",), "it takes no x"), (("--nonsense",), "unknown option --nonsense"),
                (("--peer",), "missing behind --peer"), (("--mtu", "1500"), "not 1500"),
                (("--mtu", "8192"), "not 8192"), (("--traffic-class", "256"), "not 256"),
                (("--memory", "4GB"), "'4GB'"), (("--memory", "0B"), "1B to 16TiB"),
                (("--shards", "0"), "1 to 32, not 0"), (("--shards", "33"), "not 33"),
                (("--answer", "--seconds", "0"), "not 0"),
                (("--answer", "--json"), "--answer goes with"),
                (("--answer", "--shards", "2"), "--answer goes with"),
                (("--listen", "1"), "go with --answer"),
                (("--peer", "h") * 17, "16 times")):
            with self.subTest(arguments):
                child = doctor(*arguments)
                self.assertEqual(child.returncode, 2)
                self.assertIn(error, child.stderr)
                self.assertIn("memkv doctor --help", child.stderr)
        child = doctor("--help")
        self.assertEqual((child.returncode, child.stderr), (0, ""))
        self.assertTrue(child.stdout.startswith("usage: memkv doctor "))

    def test_page__of_checks__has_each_once(self):
        with open(os.path.join(SOURCE, "docs/doctor.md"), encoding="utf-8") as file:
            section = file.read().split("## What is checked of a host")[1].split("\n## ")[0]
        told = re.findall(r"^\| `(\w+)` \|", section, re.M)
        with open(os.path.join(SOURCE, "server/host_check.c"), encoding="utf-8") as file:
            table = re.search(r"mkv_host_check_names\[\] = \{(.*?)NULL", file.read(), re.S)[1]
        self.assertEqual(told, re.findall(r'"(\w+)"', table))

    def test_node__with_few_descriptors__its_own_limit_is_what_counts(self):
        with tempfile.TemporaryDirectory() as directory:
            with Node("--dev", os.path.join(directory, "data"), cwd=directory,
                      preexec_fn=limit_files) as node:
                node.ready()
                child = run_memkv("admin", "doctor", "--socket", node.socket)
                self.assertEqual(child.returncode, 1, child.stdout + child.stderr)
                self.assertRegex(child.stdout,
                                 rf"fail +files +- +this process may have {FILES_FEW} files")


if __name__ == "__main__":
    unittest.main()
