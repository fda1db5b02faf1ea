#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/prometheus as promtool sees it, and docs/operations.md beside it: each alert is tested
both ways and has a section that says what to do; nothing speaks of a metric that there is not."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

from node import SOURCE, run_memkv
from prometheus import RULE_FILES, RULE_TESTS, RULES, left_sides, read, selectors

CONTRACT = os.path.join(SOURCE, "tests/contract/metrics.tsv")
OPERATIONS = os.path.join(SOURCE, "docs/operations.md")
PAGES = [OPERATIONS, *sorted(glob.glob(os.path.join(SOURCE, "docs/runbooks/*.md")))]
SEVERITIES = {"critical", "high", "warning", "medium", "low"}
PROMTOOL_S_MAX = 120


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False,
                          timeout=PROMTOOL_S_MAX)


def alerts():
    """The text of each alert, by its name."""
    parts = re.split(r"^ *- alert: (\w+)$", read(RULE_FILES[1]), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def anchors(path):
    """What links to the headings of a page end with."""
    headings = re.findall(r"^#+ (.*)$", read(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


class RulesTest(unittest.TestCase):
    def check(self, *arguments):
        child = promtool(*arguments)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)

    def test_rules__configuration_and_rules__promtool_takes_them(self):
        self.check("check", "config", os.path.join(RULES, "prometheus.yml"))
        self.check("check", "rules", *RULE_FILES)

    def test_rules__each_alert__fires_and_does_not_fire(self):
        self.check("test", "rules", *RULE_TESTS)
        # Each evaluation is one item of a list, from its expression to the next item's.
        evaluations = {}
        for path in RULE_TESTS:
            for item in re.split(r"^ *- (?=\{?expr:|name:)", read(path), flags=re.MULTILINE):
                found = re.match(r"\{?expr: '?ALERTS\{alertname=\"(\w+)\"", item)
                if found:
                    evaluations.setdefault(found.group(1), set()).add("exp_samples" in item)
        self.assertEqual(set(evaluations), set(alerts()))
        for name, kinds in evaluations.items():
            self.assertEqual(kinds, {True, False}, f"{name} is not tested both ways")

    def test_rules__a_rule_that_is_wrong__promtool_says_so(self):
        """The tests can fail: a threshold that nothing passes makes one of them."""
        path = self.enterContext(tempfile.TemporaryDirectory())
        os.mkdir(os.path.join(path, "tests"))
        for source in (*RULE_FILES, RULE_TESTS[0]):
            text = read(source).replace("memkv_errors:rate5m > 10", "memkv_errors:rate5m > 13")
            with open(os.path.join(path, os.path.relpath(source, RULES)), "w",
                      encoding="utf-8") as file:
                file.write(text)
        child = promtool("test", "rules", os.path.join(path, "tests",
                                                       os.path.basename(RULE_TESTS[0])))
        self.assertNotEqual(child.returncode, 0)
        self.assertIn("MemkvErrorRate", child.stdout + child.stderr)

    def test_rules__each_alert__says_how_grave_and_what_to_do(self):
        for name, text in alerts().items():
            severity = re.search(r"severity: (\w+)", text)
            self.assertIsNotNone(severity, name)
            self.assertIn(severity.group(1), SEVERITIES, name)
            for field in ("summary", "description", "runbook_url"):
                self.assertRegex(text, rf"\n +{field}: ", f"{name} has no {field}")

    def check_link(self, page, link):
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        self.assertTrue(os.path.exists(target), f"{page} links to {link}")
        if anchor:
            self.assertIn(anchor, anchors(target), f"{page} links to {link}")

    def test_operations__each_alert__has_its_section(self):
        sections = set(re.findall(r"^### (Memkv\w+)$", read(OPERATIONS), flags=re.MULTILINE))
        self.assertEqual(sections, set(alerts()))
        for name, text in alerts().items():
            url = re.search(r"runbook_url: (\S+)", text).group(1)
            self.check_link(os.path.join(SOURCE, "README.md"), url)

    def test_operations__links__lead_somewhere(self):
        for page in PAGES:
            for link in re.findall(r"\]\(([^)]+)\)", read(page)):
                self.check_link(page, link)

    def test_operations__pages_that_messages_name__are_there(self):
        named = set()
        for path in glob.glob(os.path.join(SOURCE, "server/*.c")):
            named.update(re.findall(r"docs/[a-z/-]+\.md", read(path)))
        self.assertIn("docs/runbooks/drive-slow.md", named)
        for page in sorted(named):
            self.check_link(os.path.join(SOURCE, "README.md"), page)

    def test_operations__commands__are_there(self):
        # Of the help: two blanks, a command, what it takes, and at least two blanks more.
        commands = set(re.findall(r"^  ([a-z][a-z-]*) ", run_memkv("admin", "--help").stdout,
                                  flags=re.MULTILINE))
        for page in [*PAGES, RULE_FILES[1]]:
            for command in re.findall(r"memkv\s+admin\s+([a-z-]+)", read(page)):
                self.assertIn(command, commands, page)

    def test_operations__metrics_and_keys__are_there(self):
        contract = {line.split("\t")[0] for line in read(CONTRACT).splitlines()
                    if line and not line.startswith("#")}
        keys = set(re.findall(r"^\| `(\w+\.\w+)`", read(os.path.join(
            SOURCE, "docs/configuration.md")), flags=re.MULTILINE))
        for path in [*PAGES, *RULE_FILES, *RULE_TESTS,
                     os.path.join(SOURCE, "deploy/grafana/memkv.json")]:
            # What stands behind a colon is the name of a recording rule.
            for name in re.findall(r"(?<![\w:./-])memkv_[a-z0-9_]+\b(?!:)", read(path)):
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertTrue(name in contract or family in contract, f"{path}: {name}")
        for page in [*PAGES, RULE_FILES[1]]:
            sections = "|".join(sorted({key.split(".")[0] for key in keys}))
            for key in re.findall(rf"(?<![\w/])((?:{sections})\.[a-z_]+)\b(?!\.|/|\()", read(page)):
                self.assertTrue(key in keys or key.endswith((".yml", ".md", ".json")),
                                f"{page}: {key}")

    def test_rules__parts_of_an_expression__are_told_apart(self):
        self.assertEqual(
            left_sides('sum without (a) (x{b="> and"}) > on (op) group_left () y '
                       'and on (job, instance) z offset 5m >= 2 unless absent(w)'),
            ['sum without (a) (x{b="> and"})', "z", "w"])
        self.assertEqual(
            selectors('sum without (op) (rate(memkv_a_total{s=~"x|y",t="z"}[5m])) / up'),
            ['memkv_a_total{s="x",t="z"}', 'memkv_a_total{s="y",t="z"}', "up"])


if __name__ == "__main__":
    unittest.main()
