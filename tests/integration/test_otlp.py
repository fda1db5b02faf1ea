#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The exporter of spans against a collector that speaks OTLP with the libraries of others: what
arrives is what was handed in, on both protocols, and every span is counted in the end."""

import json
import os
import subprocess
import unittest

from node import BUILD
from otlp import Receiver

SEND = os.path.join(BUILD, "tests/integration/otlp_send")
SEND_S_MAX = 90
ATTRIBUTES = {"memkv.huge": str(2**63 - 1), "memkv.real": 0.25, "memkv.op": "put",
              "memkv.tenant": "team-7"}
PATHS = {
    "http": "/v1/traces",
    "grpc": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}


def send(*arguments):
    """Runs otlp_send; what it says, reports first."""
    child = subprocess.run([SEND, *map(str, arguments)], capture_output=True, text=True,
                           check=False, timeout=SEND_S_MAX)
    assert child.returncode == 0, child.stderr
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    return lines[:-1], lines[-1]


def expected_span(number):
    """As otlp_send fills it in."""
    start_ns = 1700000000000000000 + number
    odd = number % 2 == 1
    return {
        "trace_id": "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "span_id": f"fe0000000000{number:04x}",
        "parent_id": "fe00000000000000" if odd else "",
        "name": "memkv.write",
        "kind": "SPAN_KIND_INTERNAL" if odd else "SPAN_KIND_SERVER",
        "start_ns": str(start_ns),
        "end_ns": str(start_ns + 12345),
        "attributes": {
            "memkv.number": str(number),
            **ATTRIBUTES,
            "memkv.odd": odd,
        },
        "events": [
            {"name": "alloc", "time_ns": str(start_ns + 5), "attributes": {"duration_ns": "5"}},
            {"name": "commit", "time_ns": str(start_ns + 12345),
             "attributes": {"duration_ns": "7000"}},
        ],
        "status": {"code": "STATUS_CODE_ERROR", "message": "no_space"} if odd else None,
    }


class OtlpTest(unittest.TestCase):
    """One collector for all tests of the class; each begins with what it has got so far."""

    @classmethod
    def setUpClass(cls):
        cls.receiver = cls.enterClassContext(Receiver())

    def setUp(self):
        self.receiver.answer("ok")
        self.receiver.requests.clear()
        self.receiver.spans.clear()
        self.receiver.records.clear()

    def check_counts(self, counts, exported, dropped):
        self.assertEqual((counts["exported"], counts["dropped"], counts["waiting"]),
                         (exported, dropped, 0))

    def test_otlp__spans__arrive_field_by_field(self):
        for protocol, path in PATHS.items():
            with self.subTest(protocol):
                self.receiver.spans.clear()
                reports, counts = send(self.receiver.endpoint(protocol), 700)
                self.check_counts(counts, 700, 0)
                self.assertEqual(reports, [])
                self.receiver.wait_for(lambda spans: len(spans) == 700, "700 spans came")
                self.assertEqual(self.receiver.named(), [expected_span(i) for i in range(700)])
                for line in self.receiver.spans:
                    self.assertEqual(line["resource"], {
                        "service.name": "memkv-test", "service.instance.id": "node-1",
                        "service.version": "1.2.3"})
                    self.assertEqual(line["scope"], {"name": "memkv", "version": "1.2.3"})
                request = self.receiver.requests[-1]
                self.assertEqual((request["protocol"], request["path"], request["user_agent"]),
                                 (protocol, path, "memkv/1.2.3"))

    def test_otlp__log_records__arrive_field_by_field(self):
        paths = {"http": "/v1/logs",
                 "grpc": "/opentelemetry.proto.collector.logs.v1.LogsService/Export"}
        for protocol, path in paths.items():
            with self.subTest(protocol):
                self.receiver.records.clear()
                _, counts = send("logs", self.receiver.endpoint(protocol), 300)
                self.check_counts(counts, 300, 0)
                for i, record in enumerate(self.receiver.wait_for_records(300)):
                    time_ns = str(1700000000000000000 + i)
                    self.assertEqual(record, {
                        "trace_id": "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
                        "time_ns": time_ns,
                        "observed_ns": time_ns,
                        "severity": ["SEVERITY_NUMBER_INFO", "INFO"],
                        "body": "memkv.write",
                        "attributes": {**ATTRIBUTES, "memkv.number": str(i),
                                       "memkv.odd": i % 2 == 1},
                    })
                self.assertEqual(self.receiver.records[0]["resource"]["service.name"],
                                 "memkv-test")
                self.assertEqual(self.receiver.records[0]["scope"]["name"], "memkv")
                self.assertEqual(self.receiver.requests[-1]["path"], path)
                self.assertEqual(self.receiver.spans, [])

    def test_otlp__a_collector_that_is_busy_twice__spans_arrive_once(self):
        for protocol in PATHS:
            with self.subTest(protocol):
                self.receiver.requests.clear()
                self.receiver.spans.clear()
                self.receiver.answer("unavailable", times=2)
                reports, counts = send(self.receiver.endpoint(protocol), 3)
                self.check_counts(counts, 3, 0)
                self.assertEqual(reports, [])
                self.receiver.wait_for_requests(3)
                self.assertEqual([request["answer"] for request in self.receiver.requests],
                                 ["unavailable", "unavailable", "ok"])
                self.receiver.wait_for(lambda spans: len(spans) == 3, "3 spans came")

    def test_otlp__a_collector_that_stays_busy__dropped_with_a_report(self):
        said = {"http": "HTTP status 503", "grpc": "gRPC status 14: busy"}
        for protocol, words in said.items():
            with self.subTest(protocol):
                self.receiver.answer("unavailable")
                self.receiver.requests.clear()
                reports, counts = send(self.receiver.endpoint(protocol), 3, 2000)
                self.check_counts(counts, 0, 3)
                self.assertEqual(len(reports), 1)
                self.assertTrue(reports[0]["failing"])
                self.assertIn(words, reports[0]["report"])
                self.assertGreater(len(self.receiver.requests), 1, "there was a second try")

    def test_otlp__a_collector_that_refuses__one_try(self):
        said = {"http": "HTTP status 400", "grpc": "gRPC status 3: no such thing"}
        for protocol, words in said.items():
            with self.subTest(protocol):
                self.receiver.answer("refuse")
                self.receiver.requests.clear()
                reports, counts = send(self.receiver.endpoint(protocol), 3)
                self.check_counts(counts, 0, 3)
                self.assertIn(words, reports[0]["report"])
                self.receiver.wait_for_requests(1)
                self.assertEqual(len(self.receiver.requests), 1)

    def test_otlp__a_collector_that_keeps_a_part__the_rest_is_dropped(self):
        for protocol in PATHS:
            with self.subTest(protocol):
                self.receiver.answer("partial")
                reports, counts = send(self.receiver.endpoint(protocol), 3)
                self.check_counts(counts, 2, 1)
                self.assertIn("rejected 1 of 3 spans", reports[0]["report"])

    def test_otlp__a_collector_that_says_nothing__a_try_ends_and_stop_is_short(self):
        for protocol in PATHS:
            with self.subTest(protocol):
                self.receiver.answer("hang")
                # The tries go on for longer than the test waits, so that the end cuts them off.
                _, counts = send(self.receiver.endpoint(protocol), 3, 60000, 2000, 300)
                self.check_counts(counts, 0, 3)
                self.assertLess(counts["stop_ms"], 30000)
                self.receiver.wait_for_requests(1)

    def test_otlp__nobody_listens__dropped_and_counted(self):
        with Receiver() as other:
            endpoints = [other.endpoint(protocol) for protocol in PATHS]
        for endpoint in endpoints:
            with self.subTest(endpoint):
                # More than the ring holds: what finds no room is dropped at once.
                reports, counts = send(endpoint, 3000, 100)
                self.check_counts(counts, 0, 3000)
                self.assertIn("connect", reports[0]["report"])


if __name__ == "__main__":
    unittest.main()
