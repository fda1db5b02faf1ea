#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drives with forged content: recovery takes them or says why not, and a planted bug is met."""

import json
import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))


def forge(program, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.run(
            [os.path.join(BUILD, program), "forge", *arguments],
            capture_output=True, text=True, check=False, timeout=120, cwd=folder)
        return child, {name: os.path.getsize(os.path.join(folder, name))
                       for name in os.listdir(folder)}


class ForgeTest(unittest.TestCase):
    def test_forge__what_ships__takes_or_refuses_every_drive(self):
        child, files = forge("memkv-sim", "--seconds", "10", "--json")
        self.assertEqual(child.returncode, 0, child.stdout)
        report = json.loads(child.stdout)
        self.assertEqual(report["failures"], [])
        self.assertGreater(report["drives"], 1000)
        self.assertGreater(report["configurations_refused"], 0)
        self.assertLess(report["configurations_refused"], report["configurations"])
        self.assertEqual(files, {})

    def test_forge__one_seed_twice__does_the_same(self):
        def figures():
            child, _ = forge("memkv-sim", "--seed", "7", "--seconds", "0.001", "--json")
            report = json.loads(child.stdout)
            del report["seconds"]
            return report

        self.assertEqual(figures(), figures())
        self.assertEqual(figures()["seeds"], 1)

    def test_forge__planted_bug__is_named_with_its_drive(self):
        child, files = forge("memkv-sim-canary", "--canary", "payload-unchecked",
                             "--seconds", "60", "--json")
        self.assertEqual(child.returncode, 1)
        failure = json.loads(child.stdout)["failures"][0]
        self.assertIn("mkv_root_equal", failure["text"])
        self.assertGreater(files[failure["image"]], 0)
        child, _ = forge("memkv-sim", "--seed", str(failure["seed"]), "--seconds", "0.001")
        self.assertEqual(child.returncode, 0, child.stdout)
        child, _ = forge("memkv-sim-canary", "--canary", "payload-unchecked",
                         "--seed", str(failure["seed"]), "--seconds", "0.001")
        self.assertEqual(child.returncode, 1)
        self.assertIn(f"FAILED seed {failure['seed']}", child.stdout)


if __name__ == "__main__":
    unittest.main()
