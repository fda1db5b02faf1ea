# SPDX-License-Identifier: Apache-2.0
"""The real Prometheus as a child process of a test, what is in deploy/, and how to read PromQL."""

import glob
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from node import SOURCE, free_port

RULES = os.path.join(SOURCE, "deploy/prometheus")
RULE_FILES = [os.path.join(RULES, name) for name in ("memkv-records.yml", "memkv-alerts.yml")]
RULE_TESTS = sorted(glob.glob(os.path.join(RULES, "tests/*.yml")))

START_S_MAX = 60
QUERY_S_MAX = 30

# Names of series in an expression, as opposed to functions and labels.
SELECTOR = re.compile(
    r'(?<![\w:"])((?:memkv|process|vllm|instance|instance_op|device)[_:][\w:]*|up)\b'
    r'(\{(?:[^}"]|"[^"]*")*\})?(?!\s*\()')


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Prometheus:
    """Scrapes one node every two seconds, under the rules that ship; all of it in a directory."""

    def __init__(self, directory, target):
        self.port = free_port()
        config = os.path.join(directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({
                "global": {"scrape_interval": "2s", "scrape_timeout": "2s",
                           "evaluation_interval": "1s"},
                "rule_files": RULE_FILES,
                "scrape_configs": [{
                    "job_name": "memkv", "metrics_path": "/v1/metrics",
                    "static_configs": [{"targets": [target]}]}],
            }, file)
        self.log = os.path.join(directory, "prometheus.log")
        with open(self.log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={config}",
                 f"--storage.tsdb.path={os.path.join(directory, 'prometheus')}",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def _get(self, path):
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=QUERY_S_MAX) as answer:
            return answer.read().decode()

    def ready(self):
        end_s = time.monotonic() + START_S_MAX
        while True:
            try:
                self._get("/-/ready")
                return self
            except (OSError, urllib.error.HTTPError):
                if self._process.poll() is not None or time.monotonic() > end_s:
                    raise AssertionError(f"Prometheus is not ready:\n{read(self.log)}") from None
                time.sleep(0.1)

    def rules(self):
        """Every rule, as Prometheus has read it."""
        groups = json.loads(self._get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def query(self, expression):
        """The series that an expression has now, each as (labels, value)."""
        try:
            data = json.loads(self._get(
                "/api/v1/query?" + urllib.parse.urlencode({"query": expression})))["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def target_errors(self):
        targets = json.loads(self._get("/api/v1/targets"))["data"]["activeTargets"]
        return [target["lastError"] for target in targets if target["lastError"]]


def split_outside(expression, separator):
    """Splits at a pattern where it stands outside of brackets and quotes."""
    parts, start, depth, index = [], 0, 0, 0
    pattern = re.compile(separator)
    while index < len(expression):
        if expression[index] == '"':
            index = expression.index('"', index + 1) + 1
            continue
        depth += (expression[index] in "([{") - (expression[index] in ")]}")
        found = pattern.match(expression, index) if depth == 0 else None
        if found and found.group():
            parts.append(expression[start:index])
            start = index = found.end()
        else:
            index += 1
    return [part.strip() for part in [*parts, expression[start:]]]


def left_sides(expression):
    """What an alert compares: of each of its conditions the side that is left of the comparison.

    Its past is left out: a test is shorter than that.
    """
    sides = []
    matching = r"(?:\s+(?:on|ignoring)\s*\([^)]*\))?(?:\s+group_left\s*\([^)]*\))?"
    for part in split_outside(expression, rf"\b(?:and|or|unless)\b{matching}"):
        left = split_outside(part, r"[=!<>]=|[<>]")[0]
        left = re.sub(r"^absent\((.*)\)$", r"\1", left)
        sides.append(re.sub(r"\s+offset\s+\w+", "", left))
    return sides


def selectors(expression):
    """Every selector of an expression; where a label may have several values, one of each."""
    found = []
    for name, matchers in SELECTOR.findall(expression):
        several = re.search(r'=~"([\w|]+)"', matchers)
        for value in several.group(1).split("|") if several else [None]:
            found.append(name + (matchers if value is None else
                                 matchers.replace(several.group(), f'="{value}"')))
    return found


def dashboard():
    return json.loads(read(os.path.join(SOURCE, "deploy/grafana/memkv.json")))


def panels(document):
    """Every panel that shows something, those of folded rows too."""
    found = []
    for panel in document["panels"]:
        found += panel.get("panels", [])
        if panel["type"] not in ("row", "text"):
            found.append(panel)
    return found
