# SPDX-License-Identifier: Apache-2.0
"""Tenants of a real node with two drives: equal keys apart, drops that last, quotas, restarts."""

import os
import re
import tempfile
import time
import unittest

from node import Node, run_memkv

BLOCKS = 12


class TenantsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def config(self, quotas="", eviction="on"):
        with open(self.path("memkv.yaml"), "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB, hugepages: off}\n"
                       "log: {format: text}\n"
                       f"storage:\n  mode: file\n  eviction: {eviction}\n  drives:\n"
                       f"    - {{media: {self.path('a')}, size: 64MiB}}\n"
                       f"    - {{media: {self.path('b')}, size: 64MiB}}\n")
            if quotas:
                file.write(f"tenants: {{quotas: '{quotas}'}}\n")

    def start(self, quotas="", eviction="on"):
        self.config(quotas, eviction)
        return Node("--config", self.path("memkv.yaml"))

    def value(self, tenant, key):
        text = f"{tenant} {key} " * 2000
        with open(self.path("value"), "w", encoding="utf-8") as file:
            file.write(text)
        return text

    def put(self, node, tenant, key):
        self.value(tenant, key)
        return node.command("put", "--tenant", tenant, key, self.path("value"))

    def put_all(self, node, tenant):
        for number in range(BLOCKS):
            done = self.put(node, tenant, f"key-{number}")
            self.assertEqual(done.returncode, 0, done.stderr)

    def expect_all(self, node, tenant):
        for number in range(BLOCKS):
            got = node.command("get", "--tenant", tenant, f"key-{number}", "-")
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(got.stdout, self.value(tenant, f"key-{number}"))

    def expect_none(self, node, tenant):
        keys = [f"key-{number}" for number in range(BLOCKS)]
        found = node.command("exists", "--tenant", tenant, *keys)
        self.assertEqual(found.returncode, 1, found.stderr)
        self.assertEqual(found.stdout.count("missing"), BLOCKS)
        self.assertEqual(node.command("get", "--tenant", tenant, "key-0", "-").returncode, 1)

    def admin(self, node, command, *arguments):
        return node.admin(command, *arguments)

    def counts(self, node):
        tenants = node.status()["tenants"]
        return {tenant["tenant"]: tenant["blocks"] for tenant in tenants}

    def test_two_tenants_of_equal_keys__one_dropped__the_other_is_whole_after_restarts(self):
        with self.start() as node:
            node.ready()
            self.put_all(node, "alpha")
            self.put_all(node, "beta")
            self.expect_all(node, "alpha")
            self.expect_all(node, "beta")
            self.expect_none(node, "default")
            self.expect_none(node, "gamma")  # to ask makes no tenant
            self.assertEqual(self.counts(node), {"default": 0, "alpha": BLOCKS, "beta": BLOCKS})
            node.kill()  # nothing is closed
        with self.start() as node:
            node.ready()
            self.expect_all(node, "alpha")
            self.expect_all(node, "beta")
            self.assertEqual(self.counts(node), {"default": 0, "alpha": BLOCKS, "beta": BLOCKS})
            dropped = self.admin(node, "tenant-drop", "alpha")
            self.assertEqual(dropped.returncode, 0, dropped.stderr)
            self.assertIn("dropped alpha", dropped.stdout)
            self.expect_none(node, "alpha")
            self.expect_all(node, "beta")
            node.kill()
        with self.start() as node:
            node.ready()
            self.expect_none(node, "alpha")
            self.expect_all(node, "beta")
            self.assertEqual(self.counts(node), {"default": 0, "beta": BLOCKS})
            # The name may be used again, and begins with nothing.
            self.assertEqual(self.put(node, "alpha", "key-1").returncode, 0)
            missing = node.command("exists", "--tenant", "alpha", "key-0", "key-1")
            self.assertEqual(missing.stdout, "missing key-0\nfound key-1\n")
            self.assertEqual(node.terminate(), 0)

    def rows_when_counted(self, node, tenant):
        """What `admin tenants` prints once the node has taken its figures anew."""
        for _ in range(50):
            listed = self.admin(node, "tenants")
            self.assertEqual(listed.returncode, 0, listed.stderr)
            rows = [line.split() for line in listed.stdout.splitlines()]
            if any(row[:2] == [tenant, str(BLOCKS)] for row in rows):
                break
            time.sleep(0.1)
        return rows

    def test_tenants_listed__blocks_bytes_and_quotas(self):
        with self.start("batch=4MiB") as node:
            node.ready()
            self.put_all(node, "batch")
            rows = self.rows_when_counted(node, "batch")
            self.assertEqual(rows[0], ["TENANT", "BLOCKS", "BYTES", "QUOTA"])
            self.assertEqual(rows[1], ["default", "0", "0", "-"])
            self.assertEqual(rows[2][:2] + rows[2][3:], ["batch", str(BLOCKS), str(4 << 20)])
            self.assertGreater(int(rows[2][2]), BLOCKS * 20000)
            metrics = node.http("/metrics")[1]
            self.assertIn(f'memkv_tenant_blocks{{tenant="batch"}} {BLOCKS}\n', metrics)
            self.assertIn(f'memkv_tenant_writes_total{{tenant="batch"}} {BLOCKS}\n', metrics)
            self.assertIn(f'memkv_tenant_quota_bytes{{tenant="batch"}} {4 << 20}\n', metrics)
            self.assertIn("memkv_active_tenants 1\n", metrics)

    def test_quota__puts_that_would_pass_it__refused_until_room_is_made(self):
        with self.start("small=1MiB", "off") as node:
            node.ready()
            refused = None
            stored = []
            for number in range(64):
                done = self.put(node, "small", f"key-{number}")
                if done.returncode != 0:
                    refused = done
                    break
                stored.append(f"key-{number}")
            self.assertIsNotNone(refused, "64 values of 36 KiB fit into 1 MiB")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("quota of the tenant is used up", refused.stderr)
            self.assertLessEqual(self.used_bytes(node, "small"), 1 << 20)
            self.assertEqual(self.put(node, "large", "key").returncode, 0)
            gone = node.command("delete", "--tenant", "small", *stored)
            self.assertEqual(gone.returncode, 0, gone.stderr)
            self.assertEqual(self.put(node, "small", "key-0").returncode, 0)
            self.assertIn('memkv_tenant_quota_rejections_total{tenant="small"} 1\n',
                          node.http("/metrics")[1])

    def test_quota__puts_that_would_pass_it__take_the_place_of_own_blocks(self):
        with self.start("small=1MiB") as node:
            node.ready()
            self.assertEqual(self.put(node, "large", "key").returncode, 0)
            for number in range(64):
                done = self.put(node, "small", f"key-{number}")
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.has(node, "small", "key-63"), True)
            self.assertEqual(self.has(node, "large", "key"), True)
            hits = 'memkv_tenant_lookup_keys_total{tenant="small",result="memory"}'
            # Figures are those of a moment ago: until they are of behind the last request.
            for _ in range(600):
                metrics = node.http("/metrics")[1]
                evicted = self.sample(metrics, 'memkv_tenant_evicted_blocks_total{tenant="small"}')
                small = next(row for row in node.status()["tenants"] if row["tenant"] == "small")
                if small["blocks"] == 64 - evicted and self.sample(metrics, hits) == 1:
                    break
                time.sleep(0.1)
            self.assertGreater(evicted, 30)
            self.assertEqual(
                self.sample(metrics, 'memkv_tenant_evictions_caused_total{tenant="small"}'),
                evicted)
            self.assertEqual(
                self.sample(metrics, 'memkv_evictions_by_cause_total{cause="quota"}'), evicted)
            self.assertEqual(
                self.sample(metrics, 'memkv_tenant_evicted_blocks_total{tenant="large"}'), 0)
            self.assertLessEqual(small["used_bytes"], 1 << 20)
            self.assertEqual(small["blocks"], 64 - evicted)
            self.assertEqual(self.sample(metrics, hits), 1)
            self.assertGreater(
                self.sample(metrics, 'memkv_tenant_bytes_total{tenant="small",direction="in"}'),
                64 * 20000)

    def used_bytes(self, node, tenant):
        """Of a tenant that the status may not tell of yet."""
        for _ in range(50):
            rows = [row for row in node.status()["tenants"] if row["tenant"] == tenant]
            if rows and rows[0]["used_bytes"] > 0:
                return rows[0]["used_bytes"]
            time.sleep(0.1)
        self.fail(f"the status does not tell of tenant {tenant}")

    def has(self, node, tenant, key):
        child = node.command("get", "--tenant", tenant, key, self.path("back"))
        self.assertIn(child.returncode, (0, 1), child.stderr)
        return child.returncode == 0

    def sample(self, metrics, series):
        found = re.search(rf"^{re.escape(series)} (\S+)$", metrics, re.MULTILINE)
        self.assertIsNotNone(found, series)
        return float(found.group(1))

    def test_wrong_names_and_paths__clear_errors(self):
        with self.start() as node:
            node.ready()
            bad = node.command("get", "--tenant", "no spaces", "key", "-")
            self.assertEqual(bad.returncode, 2)
            self.assertIn("1 to 79 characters", bad.stderr)
            unknown = self.admin(node, "tenant-drop", "nobody")
            self.assertEqual(unknown.returncode, 1)
            self.assertIn("there is no tenant 'nobody'", unknown.stderr)
            default = self.admin(node, "tenant-drop", "default")
            self.assertEqual(default.returncode, 1)
            self.assertIn("cannot be dropped", default.stderr)
            self.assertEqual(self.admin(node, "tenant-drop").returncode, 2)
            self.assertEqual(self.admin(node, "tenant-drop", "no spaces").returncode, 2)
            self.assertEqual(node.http("/v1/tenants/nobody")[0], 405)
        refused = run_memkv("admin", "tenants", "--server", "127.0.0.1:1")
        self.assertEqual(refused.returncode, 3)

    def test_many_tenants__same_numbers_after_a_kill(self):
        names = [f"team-{number}" for number in range(30)]
        with self.start() as node:
            node.ready()
            for name in names:
                self.assertEqual(self.put(node, name, "key").returncode, 0)
            node.kill()
        with self.start() as node:
            node.ready()
            for name in names:
                got = node.command("get", "--tenant", name, "key", "-")
                self.assertEqual(got.stdout, self.value(name, "key"))
            self.assertEqual(node.status()["tenants_total"], len(names) + 1)


if __name__ == "__main__":
    unittest.main()
