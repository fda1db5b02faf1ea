#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memkv as it is built where there are no headers of libibverbs: what is compiled, and what it
says of itself."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from node import BUILD, COMMAND_S_MAX, MEMKV, SOURCE, Node, environment, free_port

LONG = os.environ.get("MKV_LONG") == "1"
BUILD_S_MAX = 1800
UNAVAILABLE = 69
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)
# Where the build has RDMA: the same objects, without it.
PROGRAM = os.path.join(BUILD, "tests/integration/memkv-without-rdma")
if not os.path.exists(PROGRAM):
    PROGRAM = MEMKV


def needs_headers(path, known):
    """Whether a source of the tree, or what it includes, includes a header of libibverbs."""
    if path not in known:
        known[path] = False  # where headers include each other
        with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
            names = INCLUDE.findall(file.read())
        known[path] = any(
            name.startswith("infiniband/") or
            (os.path.exists(os.path.join(SOURCE, name)) and needs_headers(name, known))
            for name in names)
    return known[path]


class WithoutRdmaTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memkv-test-", dir=os.environ.get("TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_program(self, *arguments, **variables):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                              timeout=COMMAND_S_MAX, env=environment(**variables),
                              stdin=subprocess.DEVNULL)

    def test_build__disabled__nothing_needs_the_headers(self):
        """Configures alone; that the sources then compile follows from what they include."""
        self.configure()
        with open(os.path.join(self.folder, "compile_commands.json"), encoding="utf-8") as file:
            entries = json.load(file)
        paths = {os.path.relpath(os.path.realpath(os.path.join(self.folder, entry["file"])),
                                 os.path.realpath(SOURCE)) for entry in entries}
        self.assertEqual({path for path in paths if path.startswith("verbs/")}, {"verbs/absent.c"})
        self.assertIn("server/main.c", paths)
        self.assertIn("tests/unit/verbs/absent_test.c", paths)
        known = {}
        sources = [path for path in paths
                   if not path.startswith("..") and os.path.exists(os.path.join(SOURCE, path))]
        self.assertEqual([path for path in sources if needs_headers(path, known)], [])
        self.assertTrue(needs_headers("verbs/poll.c", known))

    def configure(self):
        subprocess.run(["meson", "setup", "-Dverbs=disabled", self.folder, SOURCE], check=True,
                       capture_output=True, timeout=COMMAND_S_MAX)

    @unittest.skipUnless(LONG, "a build of its own; with --long")
    def test_build__disabled__all_of_it_compiles_and_says_so(self):
        self.configure()
        done = subprocess.run(["ninja", "-C", self.folder], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False,
                              timeout=BUILD_S_MAX)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        subprocess.run([os.path.join(self.folder, "tests/unit/verbs-absent_test")], check=True,
                       capture_output=True, timeout=COMMAND_S_MAX)
        child = subprocess.run([os.path.join(self.folder, "memkv"), "doctor", "--rdma"],
                               stdout=subprocess.PIPE, text=True, check=False,
                               timeout=COMMAND_S_MAX)
        self.assertIn("this memkv was built without RDMA", child.stdout)

    def test_node__any_device__is_healthy_and_serves_without(self):
        with Node("--dev", self.folder, program=PROGRAM) as node:
            node.ready()
            health = json.loads(node.http("/v1/health")[1])
            self.assertEqual((health["status"], health["rdma_active"]), ("healthy", False))
            self.assertNotIn("RDMA_DOWN", [one["code"] for one in node.status()["warnings"]])
            metrics = node.http("/v1/metrics")[1].split("\n")
            for family in ("memkv_rdma_active", "memkv_rdma_configured"):
                self.assertIn(f"{family} 0", metrics)
            self.assertNotIn("memkv-rdma-stat", node.thread_names())
            value = os.path.join(self.folder, "value")
            with open(value, "wb") as file:
                file.write(b"x" * 100000)
            put = self.run_program("put", "--server", node.address, "key", value)
            self.assertEqual((put.returncode, put.stderr), (0, ""))
            self.assertEqual(self.run_program("get", "--server", node.address, "key").stdout,
                             "x" * 100000)
            by_rdma = self.run_program("get", "--server", node.address, "--transport", "rdma",
                                       "key")
            self.assertNotEqual(by_rdma.returncode, 0)
            self.assertIn("this build of memkv has no RDMA (verbs); take auto or tcp",
                          by_rdma.stderr)
            self.assertEqual(node.terminate(), 0)

    def test_node__a_device_is_named__the_warning_says_what_memkv_it_is(self):
        with Node("--dev", self.folder, program=PROGRAM,
                  variables={"MEMKV_RDMA_DEVICE": "mlx5_0"}) as node:
            node.ready()
            warning, = [one for one in node.status()["warnings"] if one["code"] == "RDMA_DOWN"]
            self.assertIn("built without RDMA", warning["message"])
            self.assertIn("take a memkv with RDMA", warning["action"])
            self.assertEqual(node.terminate(), 0)

    def test_start__required__is_refused_and_says_what_is_missing(self):
        child = self.run_program("start", "--dev", self.folder, "--listen",
                                 f"127.0.0.1:{free_port()}", "--rdma", "require")
        self.assertEqual(child.returncode, UNAVAILABLE, child.stderr)
        self.assertIn("rdma.mode is require, and this memkv was built without RDMA", child.stderr)
        self.assertEqual(os.listdir(self.folder), [], "a refused start changes nothing")

    def test_doctor__rdma_is_wanted__fails_and_says_what_to_take(self):
        child = self.run_program("doctor", "--json", "--rdma")
        self.assertEqual(child.returncode, 1, child.stderr)
        row = next(row for row in json.loads(child.stdout)["checks"]
                   if row["check"] == "rdma_library")
        self.assertEqual((row["result"], row["seen"]),
                         ("fail", "this memkv was built without RDMA"))
        self.assertIn("-Dverbs=enabled", row["remedy"])
        self.assertEqual(self.run_program("doctor").stderr, "")


if __name__ == "__main__":
    unittest.main()
