#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit of a real daemon. Its files are verified here once more, by other code than ours."""

import glob
import hashlib
import json
import os
import tempfile
import threading
import time
import unittest

from node import Node, SocketConnection, run_memkv

FIELDS = ["sequence", "time", "operation", "entity", "outcome", "count", "log_position", "tenant",
          "client", "session", "address", "reason", "previous_hash", "hash"]
ZEROS = "0" * 64
SEPARATOR = b',"hash":"'
WAIT_S = 2.5


def files_of(path):
    return sorted(glob.glob(path + ".[0-9]*")) + [path]


def read_chain(path):
    """The records of an audit; fails at the first that does not fit."""
    records = []
    head = ZEROS
    for name in files_of(path):
        with open(name, "rb") as file:
            lines = file.readlines()
        for number, line in enumerate(lines, 1):
            where = f"{name}:{number}"
            assert line.endswith(b'"}\n'), f"{where} is cut off"
            hashed = line[:line.rindex(SEPARATOR)]
            record = json.loads(line)
            assert list(record) == FIELDS, where
            assert record["hash"] == hashlib.sha256(hashed).hexdigest(), f"{where} was altered"
            assert record["sequence"] == len(records), f"{where} is out of order"
            assert record["previous_hash"] == head, f"{where} does not go on"
            head = record["hash"]
            records.append(record)
    return records


def operations(records):
    return [record["operation"] for record in records]


def audit_http(node, path):
    status, body = node.http(path)
    assert status == 200, body
    return json.loads(body)


def status_of(node, path):
    """The HTTP status of an answer that is no text."""
    connection = SocketConnection(node.socket)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


class AuditTest(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.data = os.path.join(self.directory, "data")
        self.path = os.path.join(self.data, "audit.log")
        self.value = os.path.join(self.directory, "value")
        with open(self.value, "wb") as file:
            file.write(b"payload-that-no-audit-may-hold" * 10)

    def start(self, *arguments, **options):
        node = self.enterContext(Node("--dev", self.data, *arguments, **options))
        return node.ready()

    def command(self, node, *arguments, code=0):
        child = node.command(*arguments)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)

    def drop(self, node, tenant):
        child = node.admin("tenant-drop", tenant)
        self.assertEqual(child.returncode, 0, child.stderr)

    def test_a_life__every_operation_is_recorded(self):
        node = self.start()
        for index in range(3):
            self.command(node, "put", f"key-{index}", self.value)
            self.command(node, "put", "--tenant", "team-7", f"key-{index}", self.value)
        self.command(node, "delete", "key-0", "key-1", "no-such-key", code=1)
        self.command(node, "delete", "--tenant", "team-7", "key-2")
        self.drop(node, "team-7")
        self.assertEqual(node.terminate(), 0)
        records = read_chain(self.path)
        names = operations(records)
        self.assertEqual(names[:3], ["genesis", "start", "format"])
        self.assertEqual(names[-1], "stop")
        for name in ("tenant_drop", "drain", "checkpoint"):
            self.assertEqual(names.count(name), 1, name)
        drop = records[names.index("tenant_drop")]
        self.assertEqual((drop["tenant"], drop["outcome"]), ("team-7", "ok"))
        self.assertRegex(drop["log_position"], r"^d00:\d+$")
        self.assertIsNotNone(drop["client"])
        self.assertIsNotNone(drop["address"])
        deletes = {record["tenant"]: record for record in records
                   if record["operation"] == "keys_delete"}
        self.assertEqual({name: record["count"] for name, record in deletes.items()},
                         {"default": 3, "team-7": 1})
        self.assertEqual(deletes["default"]["client"], "memkv delete")
        self.assertRegex(deletes["default"]["address"], r"^127\.0\.0\.1:\d+$")
        with open(self.path, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("payload-that", text)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        # The next start goes on in the same chain, and nothing is formatted again.
        self.assertEqual(self.start().terminate(), 0)
        again = read_chain(self.path)
        self.assertEqual(again[:len(records)], records)
        self.assertEqual(operations(again[len(records):]), ["start", "drain", "checkpoint", "stop"])

    def test_kill_in_the_middle__what_was_answered_is_in_the_chain(self):
        node = self.start()
        dropped = []
        stop = threading.Event()

        def drop_all():
            for index in range(200):
                if stop.is_set():
                    return
                tenant = f"t{index}"
                if node.command("put", "--tenant", tenant, "k", self.value).returncode != 0:
                    return
                start = time.monotonic()
                if node.admin("tenant-drop", tenant).returncode != 0:
                    return
                # An answer waits for its record, for 3 s at most.
                if time.monotonic() - start < WAIT_S:
                    dropped.append(tenant)

        worker = threading.Thread(target=drop_all)
        worker.start()
        while len(dropped) < 5 and worker.is_alive():
            worker.join(0.05)
        node.kill()
        stop.set()
        worker.join()
        self.assertGreaterEqual(len(dropped), 5)
        self.assertEqual(self.start().terminate(), 0)
        records = read_chain(self.path)
        recorded = [record["tenant"] for record in records if record["operation"] == "tenant_drop"]
        self.assertEqual([tenant for tenant in recorded if tenant in dropped], dropped)
        self.assertEqual(operations(records).count("start"), 2)

    def test_torn_record__cut_off_and_said(self):
        node = self.start()
        node.kill()
        before = read_chain(self.path)
        with open(self.path, "ab") as file:
            file.write(b'{"sequence":3,"time":"2026-')
        node = self.start()
        self.assertTrue(audit_http(node, "/v1/audit/verify")["intact"])
        node.terminate()
        records = read_chain(self.path)
        self.assertEqual(records[:len(before)], before)
        repair = records[len(before)]
        self.assertEqual(repair["operation"], "repair")
        self.assertIn("27 bytes of a record", repair["reason"])

    def test_altered_record__named_by_the_node_and_offline(self):
        node = self.start()
        self.assertTrue(audit_http(node, "/v1/audit/verify")["intact"])
        with open(self.path, "r+b") as file:
            text = file.read()
            file.seek(text.index(b'"operation":"format"') + len(b'"operation":"f'))
            file.write(b"0")
        verdict = audit_http(node, "/v1/audit/verify")
        self.assertFalse(verdict["intact"])
        self.assertEqual(verdict["fault"]["sequence"], 2)
        self.assertEqual(verdict["fault"]["line"], 3)
        # A tail that is cut off is missed by the node that wrote it.
        with open(self.path, "wb") as file:
            file.write(b"".join(text.splitlines(keepends=True)[:2]))
        verdict = audit_http(node, "/v1/audit/verify")
        self.assertFalse(verdict["intact"])
        self.assertIn("were written and are not there", verdict["fault"]["message"])

    def test_small_files__rotated_and_the_oldest_removed(self):
        configuration = os.path.join(self.directory, "memkv.yaml")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write("audit: {max_size: 64KiB, files_max: 2}\n")
        node = self.start("--config", configuration)
        for _ in range(500):
            page = audit_http(node, "/v1/audit?start=2200-01-01")
            self.assertEqual(page["records"], [])
            if len(files_of(self.path)) > 1 and "000001" not in files_of(self.path)[0]:
                break
        verdict = audit_http(node, "/v1/audit/verify")
        self.assertTrue(verdict["intact"], verdict)
        self.assertEqual(len(files_of(self.path)), 2)
        page = audit_http(node, "/v1/audit")
        self.assertTrue(page["complete"])
        self.assertIn("remove", operations(page["records"]))
        self.assertGreater(page["records"][0]["sequence"], 0)

    def test_what_administrators_do__each_recorded_with_who(self):
        node = self.start()
        self.assertEqual(node.admin("log-level", "debug").returncode, 0)
        self.assertEqual(node.http("/v1/system")[0], 200)
        self.assertEqual(node.http("/v1/audit?start=2020-01-01&end=2020-01-02")[0], 200)
        profiled = status_of(node, "/debug/pprof/profile?seconds=1")
        self.assertEqual(node.terminate(), 0)
        records = {record["operation"]: record for record in read_chain(self.path)}
        self.assertEqual(records["log_level"]["reason"], "from info to debug")
        self.assertIn("diagnostics", records)
        self.assertEqual(records["audit_export"]["reason"],
                         "records from 2020-01-01 to 2020-01-02")
        # 501: the machine has no profiler.
        self.assertEqual("profile" in records, profiled == 200)
        for operation in ("log_level", "diagnostics", "audit_export"):
            self.assertEqual((records[operation]["client"], records[operation]["address"]),
                             (f"uid {os.getuid()}", "unix"))

    def test_refused_requests__few_records_and_no_token_in_them(self):
        node = self.start()
        secret = "a-token-that-nobody-knows-0123456789"
        for _ in range(20):
            status, _ = node.http_tcp("/v1/audit", headers={"Authorization": f"Bearer {secret}"})
            self.assertEqual(status, 401)
        self.assertEqual(node.terminate(), 0)
        records = [record for record in read_chain(self.path)
                   if record["operation"] == "auth_refused"]
        self.assertEqual(sum(record["count"] for record in records), 20)
        self.assertLess(len(records), 20)
        self.assertEqual(records[0]["entity"], "GET /v1/audit")
        self.assertEqual(records[0]["outcome"], "refused")
        self.assertRegex(records[0]["address"], r"^127\.0\.0\.1:\d+$")
        with open(self.path, encoding="utf-8") as file:
            self.assertNotIn(secret, file.read())

    def test_file_that_cannot_be_made__refused_with_what_to_do(self):
        child = run_memkv("start", "--dev", self.data, "--listen", "127.0.0.1:1", env={
            **os.environ, "MEMKV_AUDIT_FILE": "/nowhere/audit.log"})
        self.assertEqual(child.returncode, 74)
        self.assertIn("audit.file /nowhere/audit.log cannot be opened: No such file or directory. "
                      "Make its directory", child.stdout + child.stderr)


if __name__ == "__main__":
    unittest.main()
