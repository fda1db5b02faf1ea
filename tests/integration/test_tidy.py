#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ci/tidy sees each kind of breach: one is planted at a time into a small tree without any."""

import os
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
CLEAN = {
    "core/base.h": SPDX + "#include <stdint.h>\n",
    "core/placement.h": SPDX + '#include "core/base.h"\n',
    "core/sample.c": SPDX + '#include "core/base.h"\n#include <string.h>\n\n'
    "void mkv_sample_copy(uint8_t *target, const uint8_t *source, uint32_t size);\n"
    "void mkv_sample_copy(uint8_t *target, const uint8_t *source, uint32_t size) {\n"
    "    memcpy(target, source, size);\n}\n",
    "wire/frame.h": SPDX + '#include "core/base.h"\n',
    "record/codec.h": SPDX + '#include "core/placement.h"\n',
    "backends/drive.h": SPDX + '#include "core/base.h"\n#include "wire/frame.h"\n',
    "admin/http.h": SPDX + '#include "core/base.h"\n#include <stdio.h>\n',
    "client/memkv.h": SPDX + '#include "core/placement.h"\n#include "wire/frame.h"\n',
    "server/pump.h": SPDX + '#include "admin/http.h"\n#include "backends/drive.h"\n',
    "sim/world.h": SPDX + '#include "core/base.h"\n#include "wire/frame.h"\n',
    "ci/tool.py": "print('a tool')\n",
    "README.md": "# A tree\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path, text in CLEAN.items():
            self.write(path, text)
        shutil.copy(os.path.join(SOURCE, "ci/tidy"), os.path.join(self.root, "ci/tidy"))
        shutil.copy(os.path.join(SOURCE, ".clang-format"), self.root)

    def write(self, path, text):
        target = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)

    def append(self, path, text):
        with open(os.path.join(self.root, path), "a", encoding="utf-8") as file:
            file.write(text)

    def tidy(self, *arguments):
        child = subprocess.run(
            [os.path.join(self.root, "ci/tidy"), *arguments],
            cwd=self.root, capture_output=True, text=True, check=False,
        )
        self.assertEqual(child.stderr, "")
        return child.returncode, child.stdout

    def expect(self, breach, *arguments):
        status, output = self.tidy(*arguments)
        self.assertEqual(status, 1, output)
        self.assertIn(breach, output)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_tidy__clean_tree__passes(self):
        status, output = self.tidy()
        self.assertEqual((status, output), (0, "tidy: 14 files, nothing to mend\n"))

    def test_tidy__git_checkout__leaves_out_what_git_ignores(self):
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write(".gitignore", "/generated/\n")
        self.write("generated/far.h", "int  badly_laid_out;\n")
        self.assertEqual(self.tidy()[0], 0)
        self.write("core/near.h", "int mkv_near;\n")
        self.expect("core/near.h:1: does not open with the licence")

    def test_tidy__tap__reports_each_check(self):
        self.append("core/base.h", "/* atoi(x) is no call here; TO" + "DO is a word. */\n")
        status, output = self.tidy("--tap")
        self.assertEqual(status, 1)
        self.assertIn("1..8\n", output)
        self.assertIn("not ok 5 - words\ncore/base.h:3: has the word", output)
        self.assertIn("ok 4 - calls\n", output)
        self.assertIn("ok 8 - core_symbols # SKIP", output)

    def test_format__two_spaces__fails(self):
        self.append("core/base.h", "struct  mkv_sample;\n")
        self.expect("core/base.h:3: is not laid out by .clang-format")

    def test_license__missing__fails(self):
        self.write("core/base.h", "#include <stdint.h>\n")
        self.expect("core/base.h:1: does not open with the licence")

    def test_length__801_lines__fails(self):
        self.write("ci/tool.py", "pass\n" * 800)
        self.assertEqual(self.tidy()[0], 0)
        self.append("ci/tool.py", "pass\n")
        self.expect("ci/tool.py:801: has 801 lines of at most 800")

    def test_length__101_columns__fails(self):
        self.write("ci/tool.py", "#" * 100 + "\n")
        self.assertEqual(self.tidy()[0], 0)
        self.write("ci/tool.py", "\n" + "#" * 101 + "\n")
        self.expect("ci/tool.py:2: has 101 columns of at most 100")

    def test_calls__banned_everywhere__fails(self):
        for name in ("strcpy", "strcat", "sprintf", "strtok", "gets", "atoi", "atol", "alloca",
                     "assert"):
            with self.subTest(name=name):
                self.write("server/pump.h", SPDX + f"#define MKV_PUMP(x) {name}(x)\n")
                self.expect(f"server/pump.h:2: calls {name}; ")

    def test_calls__allocation__fails_in_the_pure_rooms_only(self):
        for name in ("malloc", "calloc", "realloc", "free", "strdup"):
            with self.subTest(name=name):
                line = f"#define MKV_TAKE(x) {name}(x)\n"
                self.write("backends/drive.h", SPDX + line)
                self.assertEqual(self.tidy()[0], 0)
                for path in ("core/placement.h", "wire/frame.h", "record/codec.h"):
                    self.write(path, SPDX + line)
                    self.expect(f"{path}:2: calls {name}; ")
                    self.write(path, CLEAN[path])

    def test_calls__planted_bug_in_a_header__fails(self):
        line = "#define MKV_STEP(x) (MKV_CANARY(x) ? 1 : 2)\n"
        self.append("core/sample.c", line)
        self.assertEqual(self.tidy()[0], 0)
        self.write("core/placement.h", SPDX + line)
        self.expect("core/placement.h:2: calls MKV_CANARY; ")

    def test_words__each_banned_one__fails(self):
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"):
            with self.subTest(word=word):
                self.write("ci/tool.py", f"# {word} later\n")
                self.expect(f"ci/tool.py:1: has the word {word}")

    def test_paths__folder_of_one_machine__fails(self):
        self.append("README.md", "See /wor" + "k/notes.\n")
        self.expect("README.md:2: names ")

    def test_includes__against_the_arrows__fails(self):
        for path, header in (
            ("core/base.h", '"wire/frame.h"'),
            ("core/base.h", "<stdio.h>"),
            ("wire/frame.h", '"core/placement.h"'),
            ("wire/frame.h", "<stdlib.h>"),
            ("record/codec.h", '"wire/frame.h"'),
            ("record/codec.h", "<stdio.h>"),
            ("backends/drive.h", '"server/pump.h"'),
            ("admin/http.h", '"wire/frame.h"'),
            ("client/memkv.h", '"backends/drive.h"'),
            ("sim/world.h", '"backends/drive.h"'),
            ("server/pump.h", '"sim/world.h"'),
        ):
            with self.subTest(path=path, header=header):
                self.write(path, SPDX + f"#include {header}\n")
                self.expect(f"{path}:2: {path.split('/')[0]} may not include {header}")
                self.write(path, CLEAN[path])

    def test_includes__header_that_is_not_in_the_tree__fails(self):
        self.write("server/pump.h", SPDX + '#include "http.h"\n')
        self.expect('server/pump.h:2: there is no "http.h" in the tree')

    def test_includes__assert_h__fails(self):
        self.write("server/pump.h", SPDX + "#include <assert.h>\n")
        self.expect("server/pump.h:2: includes <assert.h>")

    def test_includes__room_without_a_row__fails(self):
        self.write("cellar/wine.h", SPDX)
        self.expect("cellar/wine.h:1: lies in no known room")

    def test_core_symbols__no_archive__fails(self):
        self.expect("build/libcore.a:1: is not built", "--build", "build")

    def archive(self, text):
        """Builds build/libcore.a of the clean sample and one more member."""
        build = os.path.join(self.root, "build")
        os.makedirs(build, exist_ok=True)
        with open(os.path.join(build, "more.c"), "w", encoding="utf-8") as file:
            file.write("#include <stdint.h>\n" + text)
        for source, name in (("../core/sample.c", "sample"), ("more.c", "more")):
            subprocess.run(
                ["gcc", "-O1", "-fPIC", "-w", "-I", self.root, "-c", source,
                 "-o", f"core_{name}.c.o"], cwd=build, check=True,
            )
        subprocess.run(["rm", "-f", "libcore.a"], cwd=build, check=True)
        subprocess.run(
            ["ar", "csr", "libcore.a", "core_sample.c.o", "core_more.c.o"], cwd=build, check=True
        )

    def test_core_symbols__constants_and_calls_within__pass(self):
        self.archive("void mkv_sample_copy(uint8_t *, const uint8_t *, uint32_t);\n"
                     'const char *const mkv_names[] = {"one", "two"};\n'
                     "void mkv_more(uint8_t *a) { mkv_sample_copy(a, a + 8, 8); }\n")
        self.assertEqual(self.tidy("--build", "build"), (0, "tidy: 14 files, nothing to mend\n"))

    def test_core_symbols__call_out_of_the_core__fails(self):
        self.archive("int puts(const char *);\nvoid mkv_more(void) { puts(\"a\"); }\n")
        self.expect("core/more.c:1: needs the symbol puts", "--build", "build")

    def test_core_symbols__writable_variable__fails(self):
        for text, name in (
            ("uint32_t mkv_count = 1;\n", "mkv_count"),
            ("uint32_t mkv_zero;\n", "mkv_zero"),
            ("_Thread_local uint32_t mkv_own = 2;\n", "mkv_own"),
            ("uint32_t mkv_next(void) { static uint32_t hidden; return ++hidden; }\n", "hidden"),
        ):
            with self.subTest(name=name):
                self.archive(text)
                self.expect("core/more.c:1: has the writable variable " + name, "--build", "build")


if __name__ == "__main__":
    unittest.main()
