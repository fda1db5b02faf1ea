#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Traces of a real daemon, as a collector gets them: what spans there are, how they lie in each
other, and what becomes of them, and of the data path, when the collector does not work."""

import mmap
import os
import secrets
import tempfile
import time
import unittest
import urllib.request

from node import Node, environment
from otlp import Receiver

PROTOCOLS = ("http", "grpc")
FILE_BYTES = 300000
POLL_S = 0.1
WAIT_S_MAX = 90
# The clock of the machine may be set while a test runs.
CLOCK_SLACK_NS = 5 * 10**9
WRITE_PHASES = ["alloc", "pull", "persist", "commit"]
READ_PHASES = ["alloc", "read", "push"]
PHASES = ["parse", "route", "alloc", "pull", "persist", "commit", "read", "push", "reply"]

CONFIGURATION = """
memory:
  max_size: 256MiB
storage:
  mode: file
  scrub_rate: 0
  drives:
    - {{media: store.memkv, name: bay-3, size: 1GiB}}
node:
  id: traced
telemetry:
  tracing_enabled: true
  otlp_endpoint: {endpoint}
  service_name: {service}
  sampling_ratio: {ratio}
"""


def times(span):
    return int(span["start_ns"]), int(span["end_ns"])


class TracesTest(unittest.TestCase):
    """One collector for all tests of the class; each begins with what it has got so far."""

    @classmethod
    def setUpClass(cls):
        cls.receiver = cls.enterClassContext(Receiver())

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.receiver.answer("ok")
        self.receiver.requests.clear()
        self.receiver.spans.clear()
        self.began_ns = time.time_ns()
        self.path = os.path.join(self.directory, "value")
        with open(self.path, "wb") as file:
            file.write(os.urandom(FILE_BYTES))

    def node(self, endpoint, ratio="1"):
        # Each node has a name of its own, so that no span of another one is taken for its.
        self.receiver.service = f"kv-{secrets.token_hex(4)}"
        path = os.path.join(self.directory, "memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(endpoint=endpoint, ratio=ratio,
                                            service=self.receiver.service))
        return Node("--config", path, cwd=self.directory)

    def command(self, node, *arguments, **options):
        child = node.command(*arguments, **options)
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)

    def put(self, node, key, *arguments):
        self.command(node, "put", key, self.path, *arguments)

    def get(self, node, key, *arguments, **options):
        target = os.path.join(self.directory, "copy")
        self.command(node, "get", key, target, *arguments, **options)
        with open(target, "rb") as copy, open(self.path, "rb") as file:
            self.assertEqual(copy.read(), file.read())

    def metric(self, node, name):
        for line in node.http("/v1/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[1])
        raise AssertionError(f"there is no {name}")

    def open_metrics(self, node):
        request = urllib.request.Request(
            f"http://127.0.0.1:{node.port + 1}/v1/metrics",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.read().decode()

    def wait_for_metric(self, node, name, is_good):
        """Polls until the figure is what it must become; returns it."""
        end = time.monotonic() + WAIT_S_MAX
        while True:
            figure = self.metric(node, name)
            if is_good(figure):
                return figure
            self.assertLess(time.monotonic(), end, f"{name} stays {figure}")
            time.sleep(POLL_S)

    def span(self, name, **attributes):
        """The one span of this name, and of these attributes, when it has come."""
        def found(spans):
            return [span for span in spans if span["name"] == name and all(
                span["attributes"].get("memkv." + key) == value
                for key, value in attributes.items())]
        spans = self.receiver.wait_for(found, f"a span {name} of {attributes} came")
        self.assertEqual(len(spans), 1, spans)
        return spans[0]

    def children(self, parent, count):
        """The spans within another one, by name."""
        def found(spans):
            inner = [span for span in spans if span["parent_id"] == parent["span_id"]]
            return inner if len(inner) >= count else []
        spans = self.receiver.wait_for(found, f"{count} spans in {parent['name']} came")
        self.assertEqual(len(spans), count, spans)
        for span in spans:
            self.assertEqual(span["trace_id"], parent["trace_id"])
            self.assertEqual(span["kind"], "SPAN_KIND_INTERNAL")
            self.assertLessEqual(times(parent)[0], times(span)[0])
            self.assertLessEqual(times(span)[0], times(span)[1])
            self.assertLessEqual(times(span)[1], times(parent)[1])
        return {span["name"]: span for span in spans}

    def check_request(self, span, phases):
        """Times are plausible, and the phases add up to the span's."""
        start_ns, end_ns = times(span)
        self.assertEqual(span["kind"], "SPAN_KIND_SERVER")
        self.assertLess(self.began_ns - CLOCK_SLACK_NS, start_ns)
        self.assertLess(start_ns, end_ns)
        self.assertLess(end_ns, time.time_ns() + CLOCK_SLACK_NS)
        names = [event["name"] for event in span["events"]]
        self.assertEqual([name for name in PHASES if name in names], names)
        self.assertLessEqual(set(phases), set(names))
        total_ns = 0
        for event in span["events"]:
            total_ns += int(event["attributes"]["duration_ns"])
            self.assertEqual(int(event["time_ns"]), start_ns + total_ns)
        self.assertEqual(start_ns + total_ns, end_ns)

    def check_attributes(self, span, expected):
        attributes = dict(span["attributes"])
        for key, value in expected.items():
            self.assertEqual(attributes.pop("memkv." + key, None), value, f"{key} of {span}")
        return set(attributes)

    def check_put(self):
        """The spans of a put; the one of the request itself."""
        write = self.span("memkv.write")
        self.check_request(write, WRITE_PHASES)
        self.assertIsNone(write["status"])
        rest = self.check_attributes(write, {
            "op": "put", "status": "ok", "keys": "1", "bytes_in": str(FILE_BYTES),
            "bytes_out": "0", "tenant": "default", "drive": "bay-3"})
        self.assertEqual(rest, {"memkv.drive_ns"})
        parts = self.children(write, 2)
        drive, journal = parts["memkv.drive.write"], parts["memkv.journal.commit"]
        self.assertEqual(drive["attributes"], {"memkv.drive": "bay-3"})
        self.assertEqual(times(drive)[1] - times(drive)[0],
                         int(write["attributes"]["memkv.drive_ns"]))
        self.assertGreaterEqual(times(journal)[0], times(drive)[0])
        commit = [event for event in write["events"] if event["name"] == "commit"][0]
        self.assertEqual(times(journal)[1], int(commit["time_ns"]))
        return write

    def test_traces__a_put_and_a_get__spans_as_documented(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol), self.node(self.receiver.endpoint(protocol)) as node:
                node.ready()
                self.receiver.spans.clear()
                self.put(node, protocol)
                write = self.check_put()
                self.assertEqual(write["parent_id"], "")
                self.get(node, protocol)
                read = self.span("memkv.read")
                self.check_request(read, READ_PHASES)
                self.assertNotEqual(read["trace_id"], write["trace_id"])
                self.check_attributes(read, {
                    "op": "get", "status": "ok", "keys": "1", "bytes_in": "0",
                    "bytes_out": str(FILE_BYTES), "tenant": "default", "drive": None,
                    "keys_from_memory": "1", "keys_from_drive": "0"})
                dispatch = self.receiver.wait_for(
                    lambda spans: [span for span in spans if span["name"] == "memkv.dispatch"],
                    "a dispatch came")
                self.assertEqual(dispatch[0]["attributes"], {"memkv.requests": "1"})
                line = self.receiver.lines()[0]
                self.assertEqual(line["protocol"], protocol)
                self.assertEqual(line["resource"]["service.instance.id"], "traced")
                # The end of the node waits for what is left to be sent.
                self.assertEqual(node.terminate(), 0)
                self.span("memkv.checkpoint", drive="bay-3")
                self.span("memkv.transition", drive="bay-3", **{"from": "online",
                                                                "to": "offline"})

    def test_traces__an_exemplar_of_a_latency__names_the_trace(self):
        with self.node(self.receiver.endpoint("http")) as node:
            node.ready()
            self.put(node, "key")
            trace_id = self.span("memkv.write")["trace_id"]
            end = time.monotonic() + WAIT_S_MAX
            while f'trace_id="{trace_id}"' not in self.open_metrics(node):
                self.assertLess(time.monotonic(), end, "no exemplar names the put's trace")
                time.sleep(POLL_S)

    def test_traces__a_traceparent__the_client_s_span_is_the_parent(self):
        trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
        sampled = f"00-{trace_id}-{parent_id}-01"
        other = f"00-{secrets.token_hex(16)}-{parent_id}-01"
        unsampled = f"00-{secrets.token_hex(16)}-{parent_id}-00"
        # By the ratio nothing is sampled: the flag of the context decides.
        with self.node(self.receiver.endpoint("grpc"), ratio="0") as node:
            node.ready()
            self.put(node, "none")
            self.put(node, "unsampled", "--traceparent", unsampled)
            self.put(node, "sampled", "--traceparent", sampled)
            write = self.check_put()
            self.assertEqual((write["trace_id"], write["parent_id"]), (trace_id, parent_id))
            for variables in ({"MEMKV_TRACEPARENT": sampled, "TRACEPARENT": other},
                              {"TRACEPARENT": sampled}):
                self.receiver.spans.clear()
                self.get(node, "sampled", env=environment(**variables))
                read = self.span("memkv.read")
                self.check_request(read, READ_PHASES)
                self.assertEqual((read["trace_id"], read["parent_id"]), (trace_id, parent_id))
            self.assertEqual(node.terminate(), 0)
        # A ratio of 1 does not make a trace of what the client does not want traced.
        self.receiver.spans.clear()
        with self.node(self.receiver.endpoint("http"), ratio="1") as node:
            node.ready()
            self.get(node, "sampled", "--traceparent", unsampled)
            self.assertEqual(node.terminate(), 0)
        self.span("memkv.transition", to="offline")
        self.assertEqual([span for span in self.receiver.named()
                          if span["kind"] == "SPAN_KIND_SERVER"], [])

    def test_traces__after_a_restart__the_drive_is_read_and_misses_are_told(self):
        with self.node(self.receiver.endpoint("http")) as node:
            node.ready()
            self.put(node, "key")
            self.assertEqual(node.terminate(), 0)
        self.receiver.spans.clear()
        with self.node(self.receiver.endpoint("http")) as node:
            node.ready()
            opened = self.span("memkv.transition", **{"from": "recovering", "to": "online"})
            self.assertLess(times(opened)[0], times(opened)[1])
            self.get(node, "key")
            read = self.span("memkv.read", status="ok")
            self.check_request(read, READ_PHASES)
            self.check_attributes(read, {"drive": "bay-3", "keys_from_memory": "0",
                                         "keys_from_drive": "1", "bytes_out": str(FILE_BYTES)})
            drive = self.children(read, 1)["memkv.drive.read"]
            self.assertEqual(times(drive)[1] - times(drive)[0],
                             int(read["attributes"]["memkv.drive_ns"]))
            child = node.command("get", "no-such-key", os.path.join(self.directory, "none"))
            self.assertNotEqual(child.returncode, 0)
            missed = self.span("memkv.read", status="not_found")
            self.check_attributes(missed, {"miss": "unknown", "bytes_out": "0"})
            self.assertIsNone(missed["status"])

    def test_traces__a_block_that_rots__its_repair_and_why_the_read_missed(self):
        endpoint = self.receiver.endpoint("grpc")
        with self.node(endpoint) as node:
            node.ready()
            self.put(node, "key")
            self.assertEqual(node.terminate(), 0)
        with open(self.path, "rb") as file:
            payload = file.read()
        with open(os.path.join(self.directory, "store.memkv"), "r+b") as store:
            with mmap.mmap(store.fileno(), 0) as bytes_of:
                place = bytes_of.find(payload[:4096])
                self.assertGreater(place, 0)
                bytes_of[place] ^= 1
        with self.node(endpoint, ratio="0") as node:
            node.ready()
            trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
            child = node.command("get", "key", os.path.join(self.directory, "copy"),
                                 "--traceparent", f"00-{trace_id}-{parent_id}-01")
            self.assertEqual(child.returncode, 1, child.stderr)
            read = self.span("memkv.read")
            self.assertEqual(read["trace_id"], trace_id)
            self.check_attributes(read, {"status": "not_found", "miss": "checksum",
                                         "keys_from_drive": "0", "bytes_out": "0"})
            repair = self.span("memkv.repair", repair="block_dropped", drive="bay-3")
            self.assertIn("memkv.slot", repair["attributes"])

    def test_traces__a_ratio_of_0__drives_are_told_and_requests_not(self):
        with self.node(self.receiver.endpoint("grpc"), ratio="0") as node:
            node.ready()
            self.put(node, "key")
            self.get(node, "key")
            self.assertEqual(node.terminate(), 0)
        self.span("memkv.checkpoint")
        names = {span["name"] for span in self.receiver.named()}
        self.assertLessEqual(names, {"memkv.checkpoint", "memkv.transition", "memkv.repair"})

    def test_traces__a_collector_that_is_busy_well_and_silent__counted_and_served(self):
        for protocol in PROTOCOLS:
            with self.subTest(protocol), self.node(self.receiver.endpoint(protocol)) as node:
                self.receiver.answer("unavailable")
                self.receiver.requests.clear()
                node.ready()
                self.put(node, "key")
                # Tried again for a while, then given up; requests are answered all the while.
                self.receiver.wait_for_requests(2)
                self.get(node, "key")
                self.assertEqual(self.metric(node, "memkv_trace_spans_exported_total"), 0)
                self.wait_for_metric(node, "memkv_trace_spans_dropped_total",
                                     lambda dropped: dropped > 0)
                self.assertIn("are dropped", node.wait_for("spans cannot be delivered"))
                self.receiver.answer("ok")
                self.get(node, "key")
                self.wait_for_metric(node, "memkv_trace_spans_exported_total",
                                     lambda exported: exported > 0)
                node.wait_for("delivered to the collector again")
                # Ends although nobody answers any more.
                self.receiver.answer("hang")
                self.get(node, "key")
                self.assertEqual(node.terminate(), 0)
                node.wait_for("spans have been sent for the last time")

    def test_traces__nobody_listens__dropped_and_served(self):
        with Receiver() as other:
            endpoint = other.endpoint("http")
        with self.node(endpoint) as node:
            node.ready()
            self.put(node, "key")
            self.get(node, "key")
            dropped = self.wait_for_metric(node, "memkv_trace_spans_dropped_total",
                                           lambda dropped: dropped >= 3)
            self.assertGreater(dropped, 0)
            self.assertEqual(self.metric(node, "memkv_trace_spans_exported_total"), 0)
            self.assertEqual(node.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
