#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The metrics of a real daemon as the real Prometheus scrapes them, in both of their formats."""

import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

from node import SOURCE, Node, free_port

ALLOWED = os.path.join(SOURCE, "tests/contract/promtool.txt")
WAIT_S_MAX = 120
REQUEST_S_MAX = 60

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Between:
    """Stands between Prometheus and the node: hands requests on, with their own Accept or another,
    and keeps in mind what the node answered."""

    def __init__(self, node, accept=None):
        between = self
        self.content_types = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked = accept or self.headers.get("Accept", "")
                request = urllib.request.Request(
                    f"http://127.0.0.1:{node.port + 1}{self.path}", headers={"Accept": asked})
                with urllib.request.urlopen(request, timeout=REQUEST_S_MAX) as answer:
                    body = answer.read()
                    content_type = answer.headers["Content-Type"]
                between.content_types.add(content_type)
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@unittest.skipUnless(shutil.which("prometheus"), "there is no prometheus (package prometheus)")
class ScrapeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.node = cls.enterClassContext(
            Node("--dev", os.path.join(cls.directory, "data"), cwd=cls.directory))
        cls.node.ready()
        path = os.path.join(cls.directory, "value")
        with open(path, "wb") as file:
            file.write(os.urandom(100000))
        for command in (("put", "key", path), ("get", "key", os.path.join(cls.directory, "got")),
                        ("exists", "absent")):
            cls.node.command(*command)

    def prometheus(self, targets):
        """Starts Prometheus with a job for each target, and returns its address."""
        port = free_port()
        config = os.path.join(self.directory, "prometheus.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
                       "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [at]}]}
                                          for job, at in targets.items()]}, file)
        log = open(os.path.join(self.directory, "prometheus.log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
             f"--storage.tsdb.path={os.path.join(self.directory, 'tsdb')}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return f"http://127.0.0.1:{port}"

    def ask(self, prometheus, path, **query):
        url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=REQUEST_S_MAX) as answer:
            return json.loads(answer.read())["data"]

    def by_job(self, prometheus, expression):
        """The value of an expression that has one for each job."""
        result = self.ask(prometheus, "query", query=expression)["result"]
        return {series["metric"]["job"]: float(series["value"][1]) for series in result}

    def eventually(self, read, expected, what):
        """Reads until it is what is expected: a scrape, or a figure, may come late."""
        end_s = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                found = read()
            except (OSError, KeyError) as error:
                found = error
            if found == expected:
                return
            if time.monotonic() > end_s:
                self.fail(f"{what}: {found}, not {expected}")
            time.sleep(0.2)

    def health(self, prometheus):
        return {target["labels"]["job"]: (target["health"], target["lastError"])
                for target in self.ask(prometheus, "targets")["activeTargets"]}

    def test_prometheus__as_it_negotiates__up_without_error(self):
        negotiated = Between(self.node)
        self.addCleanup(negotiated.close)
        text = Between(self.node, accept="text/plain;version=0.0.4")
        self.addCleanup(text.close)
        jobs = {"direct": f"127.0.0.1:{self.node.port + 1}", "negotiated": negotiated.target,
                "text": text.target}
        prometheus = self.prometheus(jobs)
        self.eventually(lambda: self.health(prometheus), dict.fromkeys(jobs, ("up", "")),
                        "what Prometheus says of its targets")
        self.eventually(lambda: self.by_job(prometheus, "up"), dict.fromkeys(jobs, 1), "up")
        self.assertEqual(negotiated.content_types, {OPENMETRICS})
        self.assertEqual(text.content_types, {TEXT})

        # Series are the same whatever the format, those with difficult names too.
        self.eventually(lambda: len(set(self.by_job(prometheus,
                                                    "scrape_samples_scraped").values())),
                        1, "different counts of samples")
        for series, value in (('memkv_commands_total{op="put"}', 1), ("memkv_blocks_total", 1),
                              ('memkv_tenant_bytes_total{tenant="default",direction="in"}', 100000),
                              ('memkv_block_lifetime_seconds_bucket{le="1.0"}', 0)):
            self.eventually(lambda: self.by_job(prometheus, series), dict.fromkeys(jobs, value),
                            series)
        metadata = self.ask(prometheus, "targets/metadata", match_target='{job="negotiated"}')
        types = {family["metric"]: family["type"] for family in metadata}
        self.assertEqual(types["memkv_blocks_total"], "gauge")
        self.assertEqual(types["memkv_commands"], "counter")
        self.assertEqual(types["memkv_tenant_bytes_total"], "unknown")
        self.assertEqual(types["memkv_dispatch_duration_seconds"], "histogram")

    def test_promtool__check_metrics__nothing_but_names_kept_for_compatibility(self):
        with open(ALLOWED, encoding="utf-8") as file:
            allowed = [line.rstrip("\n") for line in file if not line.startswith("#")]
        status, text = self.node.http("/v1/metrics")
        self.assertEqual(status, 200)
        child = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                               text=True, check=False, timeout=REQUEST_S_MAX)
        self.assertEqual((child.stdout + child.stderr).splitlines(), allowed)


if __name__ == "__main__":
    unittest.main()
