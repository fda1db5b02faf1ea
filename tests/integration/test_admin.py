#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The admin listener and `memkv admin status` of a real daemon."""

import json
import os
import signal
import socket
import tempfile
import time
import unittest

from node import Node, SocketConnection, free_port, run_memkv

LIVE = ["/v1/live", "/livez", "/health/live"]
READY = ["/v1/ready", "/health/ready", "/readyz"]
STATUS = ["/v1/status", "/status"]
METRICS = ["/v1/metrics", "/metrics"]
# Figures are copies that may be a tenth of a second old.
FIGURES_S = 0.15


def parse_metrics(text):
    """Every series with its value; HELP and TYPE stand before the samples of their family."""
    series, types = {}, {}
    family = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in types, f"{family} comes twice"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family, f"TYPE of {name} does not follow its HELP"
            types[name] = kind
        else:
            name, value = line.rsplit(" ", 1)
            ends = ("_bucket", "_sum", "_count") if types.get(family) == "histogram" else ("",)
            assert name.split("{", 1)[0] in [f"{family}{end}" for end in ends] and \
                family in types, f"{line} is misplaced"
            assert name not in series, f"{name} comes twice"
            series[name] = float(value)
    return series


def check_sums(case, status):
    """That the figures of a status add up."""
    storage = status["storage"]
    devices = storage["devices"]
    for device in devices:
        case.assertEqual(device["usable_bytes"],
                         device["raw_capacity_bytes"] - device["metadata_bytes"])
        case.assertEqual(device["allocated_slots"],
                         sum(part["used"] for part in device["classes"]))
        case.assertEqual(device["used_bytes"],
                         sum(part["used"] * part["slot_bytes"] for part in device["classes"]))
        case.assertGreaterEqual(device["total_slots"],
                                sum(part["slots"] for part in device["classes"]))
    case.assertEqual(storage["num_devices"], len(devices))
    for total, field in (("raw_bytes_total", "raw_capacity_bytes"),
                         ("usable_bytes_total", "usable_bytes"),
                         ("used_bytes_total", "used_bytes"), ("total_blocks", "total_slots")):
        case.assertEqual(storage[total], sum(device[field] for device in devices))
    case.assertLessEqual(storage["payload_bytes_total"], storage["used_bytes_total"])
    memory = status["memory"]
    case.assertLessEqual(memory["used_bytes"], memory["total_bytes"])
    case.assertLessEqual(memory["slabs_allocated"], memory["slabs_total"])
    case.assertEqual(status["blocks_persisted"], sum(device["blocks"] for device in devices))
    case.assertLessEqual(status["blocks_persisted"], status["blocks_total"])
    case.assertEqual(status["blocks_persisted"], sum(tier["blocks"] for tier in status["tiers"]))
    for figures in (status["lookups"], status["recent"]):
        case.assertEqual(figures["miss_keys"], sum(figures["misses"].values()))


class AdminTest(unittest.TestCase):
    """One node with one drive for all tests of the class; each looks at what it changes itself."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.node = cls.enterClassContext(
            Node("--dev", os.path.join(cls.directory, "data"), cwd=cls.directory))
        cls.node.ready()

    def metrics(self):
        time.sleep(FIGURES_S)
        status, text = self.node.http("/v1/metrics")
        self.assertEqual(status, 200)
        return parse_metrics(text)

    def status(self):
        time.sleep(FIGURES_S)
        return self.node.status()

    def file(self, name, size):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(os.urandom(size))
        return path

    def command(self, *arguments, code=0):
        child = self.node.command(*arguments)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)

    def test_admin__every_path__answers(self):
        for path in LIVE + READY:
            self.assertEqual(self.node.http(path), (200, "ok"), path)
        status, body = self.node.http("/v1/health")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body), {
            "status": "healthy", "rdma_active": False, "drives_online": 1, "drives_offline": 0,
            "drives_total": 1})
        for path in STATUS:
            status, body = self.node.http(path)
            self.assertEqual(status, 200)
            self.assertEqual(json.loads(body)["node"]["state"], "serving")
        for path in METRICS:
            status, body = self.node.http(path)
            self.assertEqual(status, 200)
            self.assertEqual(parse_metrics(body)['memkv_node_state{state="serving"}'], 1)

    def test_admin__other_paths_and_methods__refused_with_the_paths(self):
        status, body = self.node.http("/v2/status")
        self.assertEqual(status, 404)
        self.assertIn("/v1/status", json.loads(body)["paths"])
        connection = SocketConnection(self.node.socket)
        connection.request("POST", "/v1/status", body=b"x" * 100)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.getheader("Allow"), "GET, HEAD")
        self.assertIn("error", json.loads(answer.read()))
        connection.request("HEAD", "/v1/status")
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        self.assertGreater(int(answer.getheader("Content-Length")), 100)
        self.assertEqual(answer.read(), b"")
        connection.close()

    def test_admin__puts_and_gets__counts_move(self):
        before, before_status = self.metrics(), self.status()
        size = 3_000_000
        path = self.file("counted", size)
        self.command("put", "counted", path)
        self.command("get", "counted", path + ".back")
        self.command("exists", "counted", "not-there", code=1)
        after, status = self.metrics(), self.status()

        def moved(name):
            return after[name] - before[name]

        self.assertEqual(moved('memkv_commands_total{op="put"}'), 1)
        self.assertEqual(moved('memkv_requests_total{method="put",status="ok"}'), 1)
        self.assertEqual(moved('memkv_bytes_in_total{fabric="tcp",listener="native"}'), size)
        self.assertEqual(moved('memkv_bytes_out_total{fabric="tcp",listener="native"}'), size)
        self.assertEqual(moved("memkv_write_bytes_total"), size)
        # Both come from memory, where the put has left the block.
        self.assertEqual(moved("memkv_read_bytes_total"), 0)
        self.assertEqual(moved('memkv_lookup_keys_total{op="get",result="memory"}'), 1)
        self.assertEqual(moved("memkv_blocks_total"), 1)
        self.assertEqual(moved("memkv_exists_total"), 1)
        self.assertEqual(moved('memkv_lookup_keys_total{op="exists",result="memory"}'), 1)
        self.assertEqual(moved('memkv_lookup_keys_total{op="exists",result="miss"}'), 1)
        self.assertEqual(moved('memkv_miss_keys_total{reason="unknown"}'), 1)
        self.assertGreaterEqual(moved('memkv_device_io_bytes_total{device="d00",op="write"}'), size)
        self.assertGreaterEqual(moved('memkv_journal_entries_total{device="d00"}'), 1)
        self.assertGreaterEqual(moved("memkv_storage_used_bytes"), size)
        self.assertEqual(after["memkv_requests_in_flight"], 0)
        self.assertEqual(status["blocks_total"] - before_status["blocks_total"], 1)
        self.assertEqual(status["blocks_persisted"], status["blocks_total"])
        self.assertGreaterEqual(status["storage"]["used_bytes_total"] -
                                before_status["storage"]["used_bytes_total"], size)
        self.command("delete", "counted")
        self.assertEqual(self.metrics()["memkv_blocks_total"], before["memkv_blocks_total"])

    def test_admin__blocks_of_many_sizes__figures_add_up(self):
        check_sums(self, self.status())
        for index, size in enumerate((1, 2049, 70_000, 1_000_000, 40_000_000)):
            self.command("put", f"sum-{index}", self.file(f"sum-{index}", size))
            check_sums(self, self.status())
        status = self.status()
        self.assertGreaterEqual(len(status["storage"]["devices"][0]["classes"]), 4)
        self.command("delete", "sum-0", "sum-4")
        check_sums(self, self.status())
        metrics = self.metrics()
        status = self.status()
        self.assertEqual(metrics["memkv_storage_used_bytes"],
                         status["storage"]["used_bytes_total"])
        self.assertEqual(metrics["memkv_blocks_total"], status["blocks_total"])

    def test_admin_status__a_node__screen_json_and_check(self):
        child = self.node.admin("status")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertRegex(child.stdout, r"^node \S+  SERVING  ready  up \d\d:\d\d:\d\d  memkv ")
        self.assertRegex(child.stdout, r"\nd00 +online ")
        child = self.node.admin("status", "--json")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertEqual(json.loads(child.stdout)["storage"]["devices"][0]["device_id"], "d00")
        child = self.node.admin("status", "--check")
        self.assertEqual((child.returncode, child.stdout),
                         (0, f"{self.node.socket} healthy (serving)\n"))

    def test_admin__a_client_that_sends_no_http__others_go_on(self):
        with socket.create_connection(("127.0.0.1", self.node.port + 1), timeout=10) as connection:
            connection.sendall(os.urandom(4096) + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        self.assertEqual(self.node.http("/v1/live"), (200, "ok"))


# What each part of the status has, at least.
FIELDS = {
    "": {"node", "warnings", "memory", "storage", "blocks_total", "blocks_persisted", "journal",
         "tenants", "tiers", "lookups", "recent", "requests", "rdma", "uptime_seconds"},
    "node": {"id", "state", "ready", "version", "epoch", "config_hash"},
    "memory": {"used_bytes", "total_bytes", "slabs_allocated", "slabs_total"},
    "storage": {"num_devices", "block_size_bytes", "total_blocks", "raw_bytes_total",
                "usable_bytes_total", "used_bytes_total", "payload_bytes_total", "devices"},
    "rdma": {"active_connections"},
    "recent": {"window_seconds", "memory_keys", "drive_keys", "miss_keys", "misses",
               "residency_seconds"},
}
DEVICE_FIELDS = {"device_id", "path", "total_slots", "allocated_slots", "raw_capacity_bytes",
                 "usable_bytes", "metadata_bytes", "used_bytes", "state", "model", "serial",
                 "errors", "classes", "recent"}
CLASS_FIELDS = {"slot_bytes", "extents", "slots", "used"}
JOURNAL_FIELDS = {"device_id", "head", "applied", "lag", "ring_blocks", "checkpoint_age_seconds"}


class AdminDrivesTest(unittest.TestCase):
    """Several drives, and blocks of many sizes on them."""

    def test_status__drives_and_classes__whole_and_adding_up(self):
        with tempfile.TemporaryDirectory() as directory:
            config = os.path.join(directory, "memkv.yaml")
            with open(config, "w", encoding="utf-8") as file:
                file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                           "storage:\n  mode: file\n  block_bytes_max: 4MiB\n  drives:\n")
                for drive, size in enumerate(("64MiB", "128MiB", "512MiB")):
                    file.write(f"    - {{media: d{drive}.memkv, size: {size}}}\n")
            with Node("--config", config, cwd=directory) as node:
                node.ready()
                check_sums(self, node.status())
                for index in range(24):
                    path = os.path.join(directory, "value")
                    with open(path, "wb") as file:
                        file.write(os.urandom((100, 5_000, 70_000, 1_000_000)[index % 4] + index))
                    self.assertEqual(node.command("put", f"key-{index}", path).returncode, 0)
                self.assertEqual(node.command("exists", "key-1", "none").returncode, 1)
                self.assertEqual(node.command("delete", "key-2", "key-3").returncode, 0)
                time.sleep(FIGURES_S)
                status = node.status()
                check_sums(self, status)
                self.assertEqual(status["blocks_total"], 22)
                self.assertEqual(len(status["storage"]["devices"]), 3)
                self.assertGreater(max(len(device["classes"])
                                       for device in status["storage"]["devices"]), 1)
                for part, fields in FIELDS.items():
                    self.assertLessEqual(fields, set(status[part] if part else status), part)
                for device in status["storage"]["devices"]:
                    self.assertLessEqual(DEVICE_FIELDS, set(device))
                    for part in device["classes"]:
                        self.assertEqual(CLASS_FIELDS, set(part))
                for drive in status["journal"]:
                    self.assertLessEqual(JOURNAL_FIELDS, set(drive))
                    self.assertEqual(drive["lag"], drive["head"] - drive["applied"])
                # And the same as the metrics say.
                metrics = parse_metrics(node.http("/v1/metrics")[1])
                self.assertEqual(metrics["memkv_storage_used_bytes"],
                                 status["storage"]["used_bytes_total"])
                self.assertEqual(metrics["memkv_storage_usable_bytes"],
                                 status["storage"]["usable_bytes_total"])
                self.assertEqual(node.terminate(), 0)


class AdminLifeTest(unittest.TestCase):
    """What changes with the process: epochs, recovery, the end."""

    def test_admin__a_restart__epoch_and_recovery(self):
        with tempfile.TemporaryDirectory() as directory:
            arguments = ("--dev", os.path.join(directory, "data"))
            with Node(*arguments, cwd=directory) as node:
                node.ready()
                first = node.status()
                source = os.path.join(directory, "source")
                with open(source, "wb") as file:
                    file.write(os.urandom(100_000))
                self.assertEqual(node.command("put", "kept", source).returncode, 0)
                node.kill()
            with Node(*arguments, cwd=directory) as node:
                node.ready()
                second = node.status()
                metrics = parse_metrics(node.http("/v1/metrics")[1])
                self.assertEqual(node.terminate(), 0)
        self.assertEqual(second["node"]["epoch"], first["node"]["epoch"] + 1)
        self.assertEqual(second["blocks_total"], 1)
        self.assertEqual(second["storage"]["devices"][0]["uuid"],
                         first["storage"]["devices"][0]["uuid"])
        self.assertEqual(metrics['memkv_recovery_replayed_entries{device="d00"}'] > 0, True)
        self.assertEqual(metrics["memkv_write_total"], 0)

    def test_admin_status__a_node_that_ended__unreachable(self):
        with tempfile.TemporaryDirectory() as directory:
            port = free_port()
            with Node("--dev", os.path.join(directory, "data"), port=port, cwd=directory) as node:
                node.ready()
                node.signal(signal.SIGTERM)
                self.assertEqual(node.wait(), 0)
            child = run_memkv("admin", "status", "--check", "--server", f"127.0.0.1:{port + 1}")
            self.assertEqual(child.returncode, 3)


if __name__ == "__main__":
    unittest.main()
