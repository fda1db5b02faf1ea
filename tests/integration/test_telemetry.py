# SPDX-License-Identifier: Apache-2.0
"""Telemetry events of the real daemon, and its ports for metrics."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import libmemkv
from load import Load, Store
from node import SOURCE, Node, free_port, run_memkv
from otlp import Receiver

DEADLINE_S = 60
LINE = re.compile(r"Telemetry: (\w+) (START|END) session=(req-\d+-\d+) ts=\d+\.\d{3} "
                  r"metadata=(\{.*\})")


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {DEADLINE_S} s: {what}")
        time.sleep(0.01)


def counts_of(node):
    """How many events were queued and dropped."""
    _, text = node.http("/v1/metrics")
    return tuple(int(float(re.search(rf"^memkv_telemetry_{name}_total (\S+)$", text,
                                     re.MULTILINE).group(1))) for name in ("events", "dropped"))


def idle(node):
    """Whether no client is connected and no request in flight."""
    found = re.findall(r"^memkv_(?:connections_active\{.*\}|requests_in_flight) (\S+)$",
                       node.http("/v1/metrics")[1], re.MULTILINE)
    return len(found) > 1 and not any(map(float, found))


class TelemetryTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def jsonl(self, name="events"):
        return json.dumps({"type": "jsonl", "path": self.path(name)})

    def events(self, name="events"):
        with open(self.path(name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def pairs(self, events):
        """The START and the END of each session, of which there is exactly one each."""
        pairs = {}
        for event in events:
            self.assertEqual(list(event), ["name", "event_type", "session_id", "timestamp", "time",
                                           "metadata"])
            pairs.setdefault(event["session_id"], []).append(event)
        for session, pair in pairs.items():
            self.assertEqual([event["event_type"] for event in pair], ["START", "END"], session)
            self.assertEqual(pair[0]["name"], pair[1]["name"])
            self.assertLessEqual(pair[0]["timestamp"], pair[1]["timestamp"])
            for event in pair:
                for value in event["metadata"].values():
                    self.assertIsInstance(value, (str, int, float, bool))
        return pairs


class EventTest(TelemetryTest):
    def test_default__no_events(self):
        with Node("--dev", self.path("data")) as node:
            node.ready()
            node.command("put", "key", os.path.join(SOURCE, "LICENSE"))
            self.assertEqual(counts_of(node), (0, 0))
            self.assertNotIn("memkv-telemetry", node.thread_names())

    def test_commands__a_pair_each__with_what_they_came_to(self):
        with Node("--dev", self.path("data"), "--enable-telemetry", "--telemetry-processor",
                  self.jsonl()) as node:
            node.ready()
            size = os.path.getsize(os.path.join(SOURCE, "LICENSE"))
            node.command("put", "key", os.path.join(SOURCE, "LICENSE"))
            node.command("get", "key", self.path("got"))
            node.command("exists", "key", "other")
            node.command("get", "other", self.path("got"))
            node.command("delete", "key", "other")
            wait_until(lambda: counts_of(node) == (10, 0), "ten events")
            self.assertEqual(node.terminate(), 0)
        pairs = list(self.pairs(self.events()).values())
        self.assertEqual([pair[0]["name"] for pair in pairs],
                         ["store", "retrieve", "exists", "retrieve", "delete"])
        ends = [pair[1]["metadata"] for pair in pairs]
        for end in ends:
            self.assertGreaterEqual(end.pop("duration_s"), 0)
        self.assertEqual(ends[0], {"status": "ok", "keys": 1, "stored_count": 1, "bytes_in": size,
                                   "device": "d00"})
        self.assertEqual(ends[1], {"status": "ok", "keys": 1, "retrieved_count": 1,
                                   "from_memory": 1, "from_drive": 0, "bytes_out": size})
        self.assertEqual((ends[2]["keys"], ends[2]["found_count"]), (2, 1))
        self.assertEqual((ends[3]["status"], ends[3]["retrieved_count"]), ("not_found", 0))
        self.assertEqual(ends[4]["keys"], 2)
        self.assertEqual([pair[0]["metadata"]["keys"] for pair in pairs], [1, 1, 2, 1, 2])

    def test_library__every_operation__a_pair_by_its_name(self):
        with Node("--dev", self.path("data"), "--log-format", "json", "--enable-telemetry",
                  "--telemetry-processor", self.jsonl()) as node:
            node.ready()
            node.http("/v1/log-level", method="PUT", body='{"level":"info,core.front=debug"}')
            client = libmemkv.Client(node.address)
            self.addCleanup(client.close)
            self.assertEqual(client.put(b"first", b"value"), libmemkv.OK)
            self.assertEqual(client.put(b"second", b"value"), libmemkv.OK)
            self.assertEqual(client.lookup(b"first", b"second", b"third"), 2)
            status, reservation = client.allocate(b"fourth", b"value")
            self.assertEqual(status, libmemkv.OK)
            self.assertEqual(client.commit(reservation, b"value"), libmemkv.OK)
            client.session(7, libmemkv.BEGIN)
            client.batch(libmemkv.item(libmemkv.PIN, b"first", expire_s=60))
            client.batch(libmemkv.item(libmemkv.UNPIN, b"first"))
            node.wait_for("Prefetch request completed (L1+L2): 2/3 prefix hits")
            node.wait_for("Prefetch request submitted: 3 total keys, 2 L1 prefix hits, 1 remaining")
            self.assertEqual(node.terminate(), 0)
        pairs = list(self.pairs(self.events()).values())
        self.assertEqual([pair[0]["name"] for pair in pairs],
                         ["store", "store", "lookup", "allocate", "commit", "session", "pin",
                          "unpin"])
        found = pairs[2][1]["metadata"]
        self.assertEqual((found["keys"], found["found_count"]), (3, 2))
        self.assertEqual(pairs[4][1]["metadata"]["stored_count"], 1)

    def test_client_killed_while_it_sends__one_end_says_so(self):
        with Node("--dev", self.path("data"), "--enable-telemetry", "--telemetry-processor",
                  self.jsonl()) as node:
            node.ready()
            script = ("import sys, time, libmemkv\n"
                      "def wait():\n"
                      "    print('sending', flush=True)\n"
                      "    time.sleep(600)\n"
                      f"libmemkv.Client('{node.address}').put_slowly(b'key', 64 << 20, wait)\n")
            child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                                     text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
            try:
                self.assertEqual(child.stdout.readline(), "sending\n")
            finally:
                child.kill()
                child.communicate()
            wait_until(lambda: counts_of(node) == (2, 0), "the END")
            node.terminate()
        (pair,) = self.pairs(self.events()).values()
        self.assertEqual(pair[0]["name"], "store")
        # The transfer breaks off, or the connection is found closed: whichever is seen first.
        self.assertIn(pair[1]["metadata"]["status"], ("unavailable", "dropped"))

    def test_logging__line_as_documented__beside_a_processor_that_fails(self):
        with open(self.path("memkv.yaml"), "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\n"
                       "storage: {mode: file, drives: [{media: store, size: 256MiB}]}\n"
                       "log: {level: 'info,telemetry=debug'}\n"
                       "telemetry:\n  enabled: true\n  processors: '"
                       '[{"type":"jsonl","path":"/nowhere/events"},{"type":"logging"}]' "'\n")
        with Node("--config", self.path("memkv.yaml")) as node:
            node.ready()
            node.command("put", "key", os.path.join(SOURCE, "LICENSE"))
            node.wait_for("Telemetry: store END")
            node.wait_for("a telemetry processor gives up events: jsonl /nowhere/events")
            node.terminate()
            lines = [json.loads(line) for line in node.errors]
        lines = [line for line in lines if line["message"].startswith("Telemetry: ")]
        self.assertEqual(len(lines), 2)
        for line, kind in zip(lines, ("START", "END")):
            self.assertEqual((line["level"], line["target"]), ("DEBUG", "telemetry"))
            match = LINE.fullmatch(line["message"])
            self.assertTrue(match, line)
            self.assertEqual(match.group(1, 2), ("store", kind))
            self.assertIsInstance(json.loads(match.group(4)), dict)

    def test_sighup__file_renamed__events_go_to_a_new_one(self):
        with Node("--dev", self.path("data"), "--enable-telemetry", "--telemetry-processor",
                  self.jsonl()) as node:
            node.ready()
            node.command("exists", "key")
            wait_until(lambda: os.path.exists(self.path("events")) and len(self.events()) == 2,
                       "the first pair")
            os.rename(self.path("events"), self.path("events.1"))
            node.signal(signal.SIGHUP)
            node.wait_for("SIGHUP: the log's file and those of telemetry")

            def told_again():
                node.command("exists", "key")
                return os.path.exists(self.path("events"))
            wait_until(told_again, "a new file")
            self.assertEqual(node.terminate(), 0)
        both = self.events("events.1") + self.events()
        self.assertGreaterEqual(len(self.pairs(both)), 2)

class LoadTest(TelemetryTest):
    def test_clients_killed_in_the_middle__one_end_for_each_start(self):
        store = Store()
        self.addCleanup(store.close)
        node = store.start("--enable-telemetry", "--telemetry-max-queue-size", "1000000",
                           "--telemetry-processor", self.jsonl())
        for _ in range(3):
            load = Load(store, "--threads", "4", "--keys", "16")
            load.begin("--seconds", "60")
            time.sleep(0.7)
            load.child.kill()
            load.child.communicate()
        wait_until(lambda: idle(node), "no connection is left")
        store.stop()
        pairs = self.pairs(self.events())
        self.assertGreater(len(pairs), 20)
        statuses = {pair[1]["metadata"]["status"] for pair in pairs.values()}
        self.assertIn("ok", statuses)


    def test_queue_full__the_newest_is_dropped__and_counted(self):
        """Two events have room, and the thread takes them fifty times a second at most."""
        store = Store()
        self.addCleanup(store.close)
        node = store.start("--enable-telemetry", "--telemetry-max-queue-size", "2",
                           "--telemetry-processor", self.jsonl())
        begin = time.monotonic()
        load = Load(store, "--threads", "4", "--keys", "16")
        load.begin("--seconds", "2")
        load.end()
        node.wait_for("telemetry events dropped: the queue was full")
        wait_until(lambda: idle(node), "no connection is left")
        queued, dropped = counts_of(node)
        self.assertGreater(dropped, 0)
        self.assertEqual((queued + dropped) % 2, 0)
        store.stop()
        warnings = [line for line in node.errors if "telemetry events dropped" in line]
        self.assertLessEqual(len(warnings), time.monotonic() - begin + 2)
        self.assertEqual(sum(int(re.search(r"(\d+) telemetry events dropped", line).group(1))
                             for line in warnings), dropped)
        self.assertEqual(len(self.events()), queued)


class CollectorTest(TelemetryTest):
    def test_otlp__http_and_grpc__a_record_for_each_event(self):
        with Receiver() as receiver:
            arguments = ["--enable-telemetry"]
            for protocol in ("http", "grpc"):
                arguments += ["--telemetry-processor", json.dumps(
                    {"type": "otlp", "endpoint": receiver.endpoint(protocol)})]
            with Node("--dev", self.path("data"), *arguments) as node:
                node.ready()
                node.command("exists", "key")
                node.command("put", "key", os.path.join(SOURCE, "LICENSE"))
                records = receiver.wait_for_records(8)
                node.terminate()
        self.assertEqual(len(records), 8)
        text = json.dumps(records)
        for word in ("exists", "store", "START", "END", "req-", "stored_count"):
            self.assertIn(word, text)


class MetricsPortTest(TelemetryTest):
    @staticmethod
    def get(port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def test_port__serves_metrics_and_nothing_else(self):
        port = free_port()
        with Node("--dev", self.path("data"), "--prometheus-port", str(port)) as node:
            node.ready()
            status, text = self.get(port, "/metrics")
            self.assertEqual(status, 200)
            self.assertIn("memkv_log_messages_total", text)
            self.assertEqual(self.get(port, "/v1/metrics")[0], 200)
            for path in ("/v1/status", "/v1/live", "/"):
                self.assertEqual(self.get(port, path)[0], 404, path)
            self.assertEqual(node.http_tcp("/metrics")[0], 200)

    def test_disabled__no_metrics(self):
        with Node("--dev", self.path("data"), "--disable-prometheus") as node:
            node.ready()
            status, text = node.http_tcp("/metrics")
            self.assertEqual(status, 404)
            self.assertIn("prometheus.enabled", text)
            self.assertEqual(node.http_tcp("/v1/live")[0], 200)

    def test_port_without_metrics__refused(self):
        child = run_memkv("start", "--dev", self.path("data"), "--disable-prometheus",
                          "--prometheus-port", "9999")
        self.assertEqual(child.returncode, 78)
        self.assertIn("prometheus.port is 9999 and prometheus.enabled is false", child.stderr)

    def test_options__wrong__refused_by_name(self):
        for arguments, message in (
                (["--telemetry-processor", '{"type":"kafka"}'],
                 "--telemetry-processor: there is no processor of type 'kafka'; use logging, jsonl "
                 "or otlp\n"),
                (["--telemetry-processor", "logging"], "--telemetry-processor: this is no JSON: "),
                (["--telemetry-max-queue-size", "1"], "--telemetry-max-queue-size: "
                 "telemetry.max_queue_size: '1' is not allowed; use 2 to 1000000\n"),
                (["--enable-telemetry", "--enable-telemetry"],
                 "memkv start: --enable-telemetry is given twice; give it once\n")):
            child = run_memkv("start", "--dev", self.path("data"), *arguments)
            self.assertEqual(child.returncode, 64)
            self.assertTrue(child.stderr.startswith(message), child.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
