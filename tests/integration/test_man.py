#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Man pages of libmemkv, made from its header: one for each call that the library shows; those of
the commands of memkv; all of them well formed; and the table of options of docs/libmemkv.md, which
has each key and variable once."""

import os
import re
import shutil
import subprocess
import unittest

from node import BUILD, SOURCE, run_memkv


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


class ManTest(unittest.TestCase):
    def test_pages__of_the_build__are_those_of_the_calls_that_the_library_shows(self):
        shown = subprocess.run(["nm", "-D", "--defined-only", os.path.join(BUILD, "libmemkv.so")],
                               capture_output=True, text=True, check=True).stdout
        calls = {line.split()[-1] for line in shown.splitlines()}
        calls = {call for call in calls if call.startswith("memkv_")}
        self.assertGreater(len(calls), 30)
        pages = {name[:-2] for name in os.listdir(BUILD)
                 if re.fullmatch(r"(lib)?memkv\w*\.3", name)}
        self.assertEqual(pages, calls | {"libmemkv"})
        text = read(os.path.join(BUILD, "memkv_get.3"))
        self.assertIn("enum memkv_status memkv_get(struct memkv_client *client", text)
        self.assertIn("MEMKV_TOO_SMALL", text)

    def test_pages__of_the_commands__are_those_that_help_lists(self):
        help_text = run_memkv("help").stdout
        commands = set(re.findall(r"^  ([a-z]+) ", help_text, re.M)) - {"help"}
        self.assertGreater(len(commands), 10)
        pages = {name for name in os.listdir(BUILD) if name.endswith(".1")}
        self.assertEqual(pages, {f"memkv-{name}.1" for name in commands})
        text = read(os.path.join(BUILD, "memkv-bench.1"))
        self.assertIn(r"memkv-bench \- what a server gives this client", text)
        self.assertIn(r"\-\-in\-flight N", text)
        self.assertIn("memkv bench [OPTIONS]", text)

    def test_pages__by_groff__have_nothing_to_warn_of(self):
        if shutil.which("groff") is None:
            self.skipTest("groff is not installed")
        pages = [os.path.join(BUILD, name) for name in sorted(os.listdir(BUILD))
                 if name.endswith((".1", ".3"))]
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", *pages],
                              capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")

    def test_table__of_options__has_each_key_and_variable_once(self):
        table = read("docs/libmemkv.md").split("| option, and key of the file |")[1]
        rows = []
        for line in table.splitlines()[2:]:
            if not line.startswith("|"):
                break
            rows.append(line)
        told = [name for row in rows for name in re.findall(r"`([\w]+)`", row.split("|")[1])]
        # Keys without an option stand behind their variable.
        told += [name for row in rows for name in re.findall(r"`(\w+)` in the file", row)]
        self.assertEqual(len(told), len(set(told)), told)
        settings = read("client/settings.c")
        keys = set(re.findall(r'strcmp\(key, "(\w+)"\) == 0', settings))
        self.assertEqual(set(told), keys)
        header = read("client/memkv.h")
        options = re.search(r"struct memkv_options \{(.*?)\n\};", header, re.S)[1]
        options = re.sub(r"/\*.*?\*/", "", options, flags=re.S)
        self.assertLessEqual(set(re.findall(r"(\w+);", options)), keys)


if __name__ == "__main__":
    unittest.main()
