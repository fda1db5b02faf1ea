#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real Prometheus on a real node under load: every rule and every panel has data.

What the dashboard and the rules ask for is asked of Prometheus again and again while clients work,
until each question has been answered with at least one series. An engine does not run here: what is
asked of it is answered by series of promtool's (deploy/grafana/tests/engine.yml).
"""

import math
import os
import re
import subprocess
import sys
import time
import unittest

from load import Load, Store
from node import SOURCE
from prometheus import (Prometheus, dashboard, left_sides, panels, read, selectors)

ENGINE_TESTS = os.path.join(SOURCE, "deploy/grafana/tests/engine.yml")
DATA_S_MAX = 120
LOAD_S_MAX = 300
COMMAND_S_MAX = 60
# A ratio or percentile of nothing is NaN. The load gives something to all but these: what takes
# RDMA, a second use of a block, an eviction, a checkpoint, or a session at just that time.
MAY_BE_OF_NOTHING = re.compile(
    r"memkv_(rdma_\w+|block_\w+|think_tokens|checkpoint_duration|budget_force)_"
    r"|memkv_block_lifetime|memkv_miss_evicted")


def asked_by_panels():
    """Every expression of the dashboard as Grafana would send it; our node's apart from others'."""
    ours, engines = [], []
    for panel in panels(dashboard()):
        for target in panel["targets"]:
            text = re.sub(r"\$(job|instance|engine)\b", ".*", target["expr"])
            of_engine = "vllm:" in text
            text = text.replace("$__rate_interval", "1m" if of_engine else "20s")
            (engines if of_engine else ours).append(text)
    return ours, engines


class DashboardTest(unittest.TestCase):
    def check(self, *command):
        child = subprocess.run(command, capture_output=True, text=True, check=False,
                               timeout=COMMAND_S_MAX)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)

    def test_dashboard__as_it_ships__is_what_the_table_says(self):
        self.check(sys.executable, os.path.join(SOURCE, "deploy/grafana/make_dashboard.py"),
                   "--check")

    def test_dashboard__panels__have_places_and_ids_of_their_own(self):
        found = panels(dashboard())
        self.assertGreater(len(found), 60)
        self.assertEqual(len({panel["id"] for panel in found}), len(found))
        for row in [dashboard()["panels"], *(panel["panels"] for panel in dashboard()["panels"]
                                             if panel.get("panels"))]:
            taken = set()
            for panel in row:
                place = panel["gridPos"]
                cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                         for y in range(place["y"], place["y"] + place["h"])}
                self.assertFalse(taken & cells, panel["title"])
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                taken |= cells
        for panel in found:
            self.assertTrue(panel["description"], panel["title"])
            self.assertTrue(panel["targets"], panel["title"])

    def test_dashboard__what_it_asks_of_the_engine__promtool_has_answers(self):
        self.check("promtool", "test", "rules", ENGINE_TESTS)
        tested = {re.sub(r"\s+", " ", text).strip() for text in
                  re.findall(r"expr: >-\n(.*?)eval_time", read(ENGINE_TESTS), re.DOTALL)}
        self.assertEqual(set(asked_by_panels()[1]), tested)


class LiveTest(unittest.TestCase):
    """One node, one Prometheus, and load until all has been answered."""

    def start(self):
        store = Store(store_size="256MiB", memory="256MiB")
        self.addCleanup(store.close)
        with open(store.config, "a", encoding="utf-8") as file:
            file.write("tenants: {quotas: 'batch=64MiB'}\n")
        store.start()
        self.store = store
        prometheus = Prometheus(store.directory, f"127.0.0.1:{store.port + 1}")
        self.addCleanup(prometheus.__exit__)
        return prometheus.ready()

    def load(self):
        """Clients that go on until the test is over, and a tenant and a session beside them."""
        load = Load(self.store, "--threads", "2", "--keys", "40", "--bytes-max", "1000000")
        load.begin("--seconds", str(LOAD_S_MAX))
        self.addCleanup(load.child.communicate)
        self.addCleanup(load.child.kill)
        value = os.path.join(self.store.directory, "value")
        with open(value, "wb") as file:
            file.write(os.urandom(100_000))
        for words in (("put", "--tenant", "batch", "key", value),
                      ("put", "--session", "7", "--tier", "think_active", "key", value),
                      ("session", "7", "exit-think", "1200", "hard_cap")):
            child = self.store.node.command(*words)
            self.assertEqual(child.returncode, 0, f"{words}: {child.stderr}")

    @staticmethod
    def is_answer(question, series):
        return any(not math.isnan(value) for _, value in series) or \
            (bool(series) and MAY_BE_OF_NOTHING.search(question) is not None)

    def answered(self, prometheus, questions):
        """Asks until each question has an answer; those that have none, after a long time."""
        end_s = time.monotonic() + DATA_S_MAX
        left = dict.fromkeys(questions)
        while left and time.monotonic() < end_s:
            left = {question: None for question in left
                    if not self.is_answer(question, prometheus.query(question))}
            if left:
                time.sleep(0.5)
        return list(left)

    def test_prometheus__a_node_under_load__answers_all_rules_and_panels(self):
        prometheus = self.start()
        self.load()
        questions = asked_by_panels()[0]
        for rule in prometheus.rules():
            questions += selectors(rule["query"])
            questions += left_sides(rule["query"]) if rule["type"] == "alerting" \
                else [rule["query"]]
        unanswered = self.answered(prometheus, questions)
        self.assertEqual(unanswered, [], "these have no data")
        # One scrape may be late on a machine that has much to do; one that is refused stays so.
        end_s = time.monotonic() + DATA_S_MAX
        while prometheus.target_errors() and time.monotonic() < end_s:
            time.sleep(0.5)
        self.assertEqual(prometheus.target_errors(), [])
        rules = prometheus.rules()
        self.assertEqual([rule["lastError"] for rule in rules if rule["health"] != "ok"], [])
        # It is a healthy node: nothing that fires at once does.
        self.assertEqual([rule["name"] for rule in rules if rule.get("state") == "firing"], [])


if __name__ == "__main__":
    unittest.main()
