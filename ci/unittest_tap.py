#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of one script and reports each method as a line of TAP.

The lines go to a file descriptor of their own, so that what tests and the daemons they start
print cannot be taken for a result. `ci/run_tests` is the reader.

    ci/unittest_tap.py SCRIPT --list             print the names of the methods
    ci/unittest_tap.py SCRIPT --results FD [--filter REGEX --prefix TEXT]
"""

import argparse
import importlib.util
import os
import re
import sys
import traceback
import unittest


def load(script):
    path = os.path.abspath(script)
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def short_name(test):
    """Class.method, without the module; what setUpClass raises is named after it."""
    parts = test.id().split(".")
    return ".".join(parts[-2:]) if "(" not in test.id() else test.id()


class TapResult(unittest.TestResult):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.number = 0
        self.subtests_failed = 0

    def startTest(self, test):
        super().startTest(test)
        self.subtests_failed = 0

    def line(self, verdict, test, note=""):
        self.number += 1
        self.out.write(f"{verdict} {self.number} - {short_name(test)}{note}\n")
        self.out.flush()

    def bad(self, test, err):
        sys.stdout.flush()
        traceback.print_exception(*err, file=sys.stderr)
        sys.stderr.flush()
        self.line("not ok", test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("ok", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.bad(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.subtests_failed += 1
            print(f"subtest {subtest.id()} failed:", file=sys.stderr)
            traceback.print_exception(*err, file=sys.stderr)

    def stopTest(self, test):
        # When only subtests failed, unittest reports neither success nor failure of the method.
        if self.subtests_failed and not self.reported(test):
            self.line("not ok", test)
        super().stopTest(test)

    def reported(self, test):
        return any(t is test for t, _ in self.failures + self.errors)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, " # SKIP " + " ".join(reason.split()))

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.line("ok", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        print(f"{test.id()} was expected to fail and did not", file=sys.stderr)
        self.line("not ok", test)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("script")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", type=int)
    parser.add_argument("--filter", default="")
    parser.add_argument("--prefix", default="")
    arguments = parser.parse_args()
    pattern = re.compile(arguments.filter)
    tests = [
        test
        for test in flatten(load(arguments.script))
        if pattern.search(arguments.prefix + short_name(test))
    ]
    if arguments.list:
        for test in tests:
            print(arguments.prefix + short_name(test))
        return 0
    os.set_inheritable(arguments.results, False)
    with os.fdopen(arguments.results, "w", encoding="utf-8") as out:
        out.write(f"1..{len(tests)}\n")
        out.flush()
        result = TapResult(out)
        unittest.TestSuite(tests).run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
