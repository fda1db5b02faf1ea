#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ci/run_tests counts what programs report, and takes nothing that went wrong for a pass."""

import importlib.machinery
import importlib.util
import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("MKV_SOURCE_DIR", os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))

UNITTEST_HEAD = "import os, subprocess, sys, time, unittest\n"


class RunnerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for name in ("run_tests", "unittest_tap.py"):
            self.write("ci/" + name, self.read("ci/" + name))
        self.write("ci/tidy", "#!/bin/sh\n[ \"$1\" = --tap ] && echo 1..1\necho 'ok 1 - format'\n")
        self.write("ci/build", "#!/bin/sh\nexit 0\n")

    def read(self, path):
        with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
            return file.read()

    def write(self, path, text):
        target = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(target, 0o755)

    def unit(self, script, sanitized="echo 1..1; echo 'ok 1 - test_a'"):
        """Plants a unit test whose two builds are shell scripts that print as cmocka does."""
        self.write("tests/unit/core/x_test.c", "cmocka_unit_test(test_a), cmocka_unit_test(test_b)")
        for build, text in (("build", script), ("build-asan", sanitized)):
            self.write(f"{build}/tests/unit/core-x_test", "#!/bin/sh\n" + text + "\n")

    def suite(self, body):
        self.write("tests/integration/test_x.py", UNITTEST_HEAD + body)

    def run_tests(self, *arguments):
        child = subprocess.run(
            [os.path.join(self.root, "ci/run_tests"), *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )
        self.assertEqual(child.stderr, "")
        return child.returncode, child.stdout

    def expect(self, closing, *texts, arguments=()):
        status, output = self.run_tests(*arguments)
        self.assertEqual(output.splitlines()[-1], closing, output)
        self.assertEqual(status, 0 if " 0 failed" in closing else 1)
        for text in texts:
            self.assertIn(text, output)
        return output

    def test_cmocka__passed_failed_and_skipped__are_counted(self):
        self.unit("echo 1..3; echo 'ok 1 - test_a'; echo 'not ok 2 - test_b'; echo '# 1 != 2'\n"
                  "echo 'not ok 3 # SKIP test_c'; exit 1")
        self.expect("3 passed, 1 failed, 1 skipped", "| # 1 != 2",
                    "FAIL", "unit/gcc/core/x_test::test_b")

    def test_cmocka__program_that_dies__fails(self):
        self.unit("echo 1..2; echo 'ok 1 - test_a'; echo broken >&2; kill -ABRT $$")
        self.expect("3 passed, 1 failed, 0 skipped", "ended by SIGABRT after 1 of 2", "| broken")

    def test_cmocka__fewer_results_than_planned__fails(self):
        self.unit("echo 1..2; echo 'ok 1 - test_a'; exit 0")
        self.expect("3 passed, 1 failed, 0 skipped", "exit status 0 after 1 of 2 tests")

    def test_cmocka__no_result__fails(self):
        self.unit("exit 0")
        self.expect("2 passed, 1 failed, 0 skipped", "exit status 0 after 0 of 0 tests")

    def test_cmocka__status_of_a_sanitizer__fails(self):
        self.unit("echo 1..1; echo 'ok 1 - test_a'",
                  "echo 1..1; echo 'ok 1 - test_a'; echo leak; exit 23")
        self.expect("3 passed, 1 failed, 0 skipped", "unit/asan/core/x_test", "| leak")

    def test_cmocka__program_that_was_not_built__fails(self):
        self.unit("echo 1..1; echo 'ok 1 - test_a'")
        os.remove(os.path.join(self.root, "build/tests/unit/core-x_test"))
        self.expect("2 passed, 1 failed, 0 skipped", "cannot be started")

    def test_unittest__every_kind_of_result__is_counted(self):
        self.suite(
            "class A(unittest.TestCase):\n"
            "    def test_pass(self): print('not ok 7 - noise')\n"
            "    def test_fail(self): self.assertEqual(1, 2)\n"
            "    @unittest.skip('no disk')\n"
            "    def test_skip(self): pass\n"
            "    def test_sub(self):\n"
            "        for i in (1, 2):\n"
            "            with self.subTest(i=i): self.assertEqual(i, 2)\n"
            "class B(unittest.TestCase):\n"
            "    @classmethod\n"
            "    def setUpClass(cls): raise RuntimeError('boom')\n"
            "    def test_never(self): pass\n"
        )
        self.expect("2 passed, 3 failed, 1 skipped", "A.test_skip  (no disk)",
                    "RuntimeError: boom", "AssertionError: 1 != 2")

    def test_unittest__script_that_cannot_be_loaded__fails(self):
        self.suite("import no_such_module\n")
        self.expect("1 passed, 1 failed, 0 skipped", "No module named 'no_such_module'")

    def test_unittest__process_that_dies__fails(self):
        self.suite("class A(unittest.TestCase):\n    def test_a(self): os.abort()\n")
        self.expect("1 passed, 1 failed, 0 skipped", "ended by SIGABRT after 0 of 1 tests")

    def test_unittest__test_that_hangs__is_stopped_with_what_it_started(self):
        runner = self.read("ci/run_tests")
        limit = "INTEGRATION_TEST_S_MAX = 1800"
        self.assertIn(limit, runner)
        self.write("ci/run_tests", runner.replace(limit, "INTEGRATION_TEST_S_MAX = 1"))
        note = os.path.join(self.root, "pid")
        self.suite(
            "class A(unittest.TestCase):\n"
            "    def test_a(self):\n"
            "        child = subprocess.Popen(['sleep', '1000'])\n"
            f"        open({note!r}, 'w').write(str(child.pid))\n"
            "        time.sleep(1000)\n"
        )
        self.expect("1 passed, 1 failed, 0 skipped", "no result within 1 s")
        with open(note, encoding="utf-8") as file:
            pid = file.read()
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            state = "gone"
        self.assertIn(state, ("Z", "gone"))

    def test_programs__two_of_them__run_beside_each_other(self):
        # Each waits for the other.
        for own, other in ("ab", "ba"):
            self.write(f"tests/integration/test_{own}.sh",
                       f"#!/bin/sh\ntouch {self.root}/{own}\nfor i in $(seq 300); do\n"
                       f"[ -e {self.root}/{other} ] && exit 0; sleep 0.1; done; exit 1\n")
        self.expect("3 passed, 0 failed, 0 skipped")

    def test_programs__those_of_the_lab__are_not_beside_each_other(self):
        for name in ("lab", "lab_other", "power_cut", "x"):
            clear = f'[ -z "$(ls {self.root}/on | grep -v x)" ]'
            self.write(f"tests/integration/test_{name}.sh",
                       f"#!/bin/sh\nset -e; mkdir -p {self.root}/on\n"
                       + (f"{clear}\n" if name != "x" else "")
                       + f"touch {self.root}/on/{name}; sleep 0.3; rm {self.root}/on/{name}\n")
        self.expect("5 passed, 0 failed, 0 skipped")

    def test_programs__those_of_alone__have_nothing_beside_them(self):
        for name in ("bench", "memory", "x", "y"):
            alone = name in ("bench", "memory")
            others = "*" if alone else "alone_*"
            own = ("alone_" if alone else "") + name
            nothing_else = f'[ -z "$(ls {others} 2>/dev/null)" ]'
            self.write(f"tests/integration/test_{name}.sh",
                       f"#!/bin/sh\nset -e; mkdir -p {self.root}/on; cd {self.root}/on\n"
                       f"{nothing_else}; touch {own}; sleep 0.3; rm {own}; {nothing_else}\n")
        self.expect("5 passed, 0 failed, 0 skipped")

    def test_programs__named_in_the_runner__are_there(self):
        loader = importlib.machinery.SourceFileLoader(
            "run_tests", os.path.join(SOURCE, "ci/run_tests"))
        runner = importlib.util.module_from_spec(
            importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(runner)
        names = {job.name for job in runner.find_jobs()}
        self.assertLessEqual({*runner.ALONE}, names)
        for end in runner.FIRST:
            self.assertTrue(any(name.endswith(end) for name in names), end)

    def test_script__statuses__are_pass_skip_and_fail(self):
        for name, status in (("a", 0), ("b", 77), ("c", 3)):
            self.write(f"tests/integration/test_{name}.sh", f"#!/bin/sh\necho why\nexit {status}\n")
        self.expect("2 passed, 1 failed, 1 skipped", "integration/test_b  (why)",
                    "integration/test_c  (exit status 3)")

    def test_build__that_fails__fails_and_runs_nothing_of_it(self):
        self.unit("echo 1..1; echo 'ok 1 - test_a'")
        self.write("ci/build", "#!/bin/sh\necho error in $1\n[ $1 != build-asan ]\n")
        self.expect("2 passed, 1 failed, 0 skipped", "build/asan", "| error in build-asan")

    def test_filter__one_method__runs_it_alone(self):
        self.unit("exit 1")
        self.suite("class A(unittest.TestCase):\n"
                   "    def test_one(self): pass\n"
                   "    def test_two(self): self.fail('not asked for')\n")
        self.expect("1 passed, 0 failed, 0 skipped", "test_x::A.test_one",
                    arguments=("--filter", "A.test_one"))

    def test_list__all__names_each_test_and_runs_none(self):
        self.unit("touch ran")
        self.suite("class A(unittest.TestCase):\n    def test_one(self): pass\n")
        status, output = self.run_tests("--list", "--filter", "gcc|A")
        self.assertEqual((status, output), (0, (
            "unit/gcc/core/x_test::test_a\nunit/gcc/core/x_test::test_b\n"
            "integration/test_x::A.test_one\n")))
        self.assertFalse(os.path.exists(os.path.join(self.root, "ran")))


if __name__ == "__main__":
    unittest.main()
