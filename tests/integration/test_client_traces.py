#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Spans of libmemkv, as a collector gets them: each call is one, the server's span of its request
is its child, and a client that nobody asked for spans loads nothing and sends nothing."""

import os
import subprocess
import sys
import tempfile
import unittest

from node import BUILD, SOURCE, Node, environment, free_port
from otlp import Receiver

LIBRARY = os.path.join(BUILD, "libmemkv.so")
os.environ["MEMKV_LIBRARY"] = LIBRARY
sys.path.insert(0, os.path.join(SOURCE, "client/python"))
import memkv  # noqa: E402

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
SERVICE = "traced-client"
CONFIGURATION = """
memory:
  max_size: 256MiB
storage:
  mode: file
  drives:
    - {{media: store.memkv, name: bay-3, size: 1GiB}}
telemetry:
  tracing_enabled: true
  otlp_endpoint: {endpoint}
  service_name: traced-node
  sampling_ratio: 0
"""


class ClientTracesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.receiver = cls.enterClassContext(Receiver())
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(endpoint=cls.receiver.endpoint("http")))
        cls.node = cls.enterClassContext(Node("--config", path, cwd=folder))
        cls.node.ready()

    def setUp(self):
        self.receiver.answer("ok")
        self.receiver.spans.clear()

    def spans_of(self, service):
        self.receiver.service = service
        return self.receiver.named()

    def wait_for(self, name, service=SERVICE):
        self.receiver.service = service
        return self.receiver.wait_for(
            lambda spans: next((span for span in spans if span["name"] == name), None), name)

    def client(self, protocol="grpc", **options):
        return memkv.Client(self.node.address, client_name=SERVICE,
                            otel_endpoint=self.receiver.endpoint(protocol), **options)

    def test_spans__of_calls__have_those_of_the_server_below_them(self):
        with self.client() as client:
            client.put(b"key", b"value")
            self.assertIsNone(client.get(b"other"))
        put = self.wait_for("memkv.client.put")
        get = self.wait_for("memkv.client.get")
        self.assertEqual(put["kind"], "SPAN_KIND_CLIENT")
        self.assertEqual(put["attributes"]["memkv.status"], "ok")
        self.assertEqual(int(put["attributes"]["memkv.value_bytes"]), 5)
        self.assertEqual(put["attributes"]["server.address"], self.node.address)
        self.assertEqual(get["attributes"]["memkv.status"], "not_found")
        self.assertFalse(put["parent_id"])
        self.assertNotEqual(put["trace_id"], get["trace_id"])
        for name, parent in (("memkv.write", put), ("memkv.read", get)):
            child = self.wait_for(name, "traced-node")
            self.assertEqual(child["trace_id"], parent["trace_id"])
            self.assertEqual(child["parent_id"], parent["span_id"])

    def test_spans__in_a_trace_of_the_caller__are_below_its_span(self):
        with self.client("http") as client:
            client.trace_context(f"00-{TRACE_ID}-{PARENT_ID}-01")
            client.delete(b"gone")
            client.trace_context(f"00-{TRACE_ID}-{PARENT_ID}-00")
            client.exists(b"gone")
            client.trace_context(None)
            client.lookup([b"gone"])
        delete = self.wait_for("memkv.client.delete")
        self.assertEqual((delete["trace_id"], delete["parent_id"]), (TRACE_ID, PARENT_ID))
        self.assertEqual(self.wait_for("memkv.delete", "traced-node")["parent_id"],
                         delete["span_id"])
        self.wait_for("memkv.client.lookup")
        # What its caller does not sample is no span.
        self.assertNotIn("memkv.client.exists", [span["name"] for span in self.spans_of(SERVICE)])

    def test_exporter__wrong_endpoint__is_refused_by_name(self):
        with self.assertRaisesRegex(memkv.InvalidError, "otel_endpoint 'gopher://a:1'"):
            memkv.Client(self.node.address, otel_endpoint="gopher://a:1")

    def run_child(self, program, **variables):
        child = subprocess.run(
            ["/usr/bin/python3", "-c", program, self.node.address],
            env=environment(PYTHONPATH=os.path.join(SOURCE, "client/python"),
                            MEMKV_LIBRARY=LIBRARY, PYTHONDONTWRITEBYTECODE="1", **variables),
            capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(child.returncode, 0, child.stderr)
        return child

    def test_exporter__nobody_asks__loads_nothing_and_makes_no_thread(self):
        program = ("import memkv, sys, os\n"
                   "with memkv.Client(sys.argv[1]) as client:\n"
                   "    client.put(b'quiet', b'v')\n"
                   "    maps = open('/proc/self/maps').read()\n"
                   "    print(len(os.listdir('/proc/self/task')), 'memkv_otel' in maps,\n"
                   "          'protobuf' in maps)\n")
        self.assertEqual(self.run_child(program).stdout.split(), ["1", "False", "False"])

    def test_exporter__variable_of_all__begins_and_may_fail_without_harm(self):
        program = ("import memkv, sys\n"
                   "with memkv.Client(sys.argv[1], client_name='of-all') as client:\n"
                   "    client.put(b'all', b'v')\n"
                   "    client.ping()\n")
        self.run_child(program, OTEL_EXPORTER_OTLP_ENDPOINT=self.receiver.endpoint("http"))
        self.wait_for("memkv.client.put", "of-all")
        told = self.run_child(program, OTEL_EXPORTER_OTLP_ENDPOINT="https://collector:4317")
        self.assertIn("OTEL_EXPORTER_OTLP_ENDPOINT 'https://collector:4317'", told.stderr)
        self.receiver.spans.clear()
        self.run_child(program, MEMKV_OTEL_ENDPOINT=self.receiver.endpoint("http"),
                       MEMKV_OTEL_SAMPLING_RATIO="0")
        self.assertEqual(self.spans_of("of-all"), [])

    def test_exporter__nobody_listens__calls_go_on(self):
        with memkv.Client(self.node.address,
                          otel_endpoint=f"http://127.0.0.1:{free_port()}") as client:
            for index in range(2000):
                client.exists(b"%d" % index)


if __name__ == "__main__":
    unittest.main()
