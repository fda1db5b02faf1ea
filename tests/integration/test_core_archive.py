#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is simulated is what ships: memkv and memkv-sim link the same archive of the core."""

import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get("MKV_BUILD_DIR", os.path.join(SOURCE, "build"))


def hash_of_archive(name):
    return subprocess.run(
        [os.path.join(SOURCE, "ci/archive_hash"), name, "--hash"],
        cwd=BUILD, capture_output=True, text=True, check=True,
    ).stdout.strip()


def hash_in_program(name):
    with tempfile.NamedTemporaryFile() as section:
        subprocess.run(
            ["objcopy", "-O", "binary", "--only-section=.mkv_core_archive",
             os.path.join(BUILD, name), section.name],
            check=True,
        )
        return section.read().rstrip(b"\0").decode()


def link_inputs(name):
    query = subprocess.run(
        ["ninja", "-C", BUILD, "-t", "query", name], capture_output=True, text=True, check=True
    ).stdout
    inputs = query.split("input:")[1].split("outputs:")[0]
    return [line.strip().removeprefix("| ") for line in inputs.splitlines()[1:]]


class CoreArchiveTest(unittest.TestCase):
    def test_core_archive__programs_that_ship__carry_its_hash(self):
        expected = hash_of_archive("libcore.a")
        self.assertEqual(hash_in_program("memkv"), expected)
        self.assertEqual(hash_in_program("memkv-sim"), expected)

    def test_core_archive__canary_program__carries_the_other_hash(self):
        canary = hash_in_program("memkv-sim-canary")
        self.assertEqual(canary, hash_of_archive("libcore_canary.a"))
        self.assertNotEqual(canary, hash_of_archive("libcore.a"))

    def test_core_archive__link_of_each_program__takes_the_core_from_it_alone(self):
        for program, archive in (
            ("memkv", "libcore.a"),
            ("memkv-sim", "libcore.a"),
            ("memkv-sim-canary", "libcore_canary.a"),
        ):
            with self.subTest(program=program):
                inputs = link_inputs(program)
                cores = [name for name in inputs if os.path.basename(name).startswith("libcore")]
                self.assertEqual(cores, [archive])
                objects = [name for name in inputs if "/core_" in name and name.endswith(".c.o")
                           and "core_archive" not in name and "core_canary_archive" not in name]
                self.assertEqual(objects, [])


if __name__ == "__main__":
    unittest.main()
