#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Accounting through the real daemon: a workload states what each family of metrics moves by.

What drives that fail or wait move is in workload_drives.py. In the end each family has moved, but
for those of STILL.
"""

import ctypes
import json
import os
import socket
import threading
import time
import unittest

import libmemkv as lib
import workload_drives
from collector import Collector
from workload import BLOCK, FAMILIES, MIB, WAIT_S_MAX, Workload

KEY = "0123456789abcdef" * 4

# Families that no workload of a client can move here, and why.
RDMA = "there is no RDMA device here; test_lab_rdma moves it"
STILL = {
    **{f"memkv_rdma_{name}": RDMA for name in (
        "active", "connections_active", "read_latency_us", "write_latency_us", "errors_total",
        "failures_total", "configured", "fallbacks_total", "recoveries_total",
        "port_troubles_total")},
    "memkv_connect_total": RDMA,
    "memkv_batch_fallback_total": "batches never fall back",
    "memkv_freelist_cas_retries_total": "shards share no free list",
    "memkv_slab_double_free_total": "a slab that is freed twice ends the process",
}


class MetricsTest(workload_drives.DriveSteps):
    """What clients, operators and restarts move."""

    # ---- puts, gets and their like ---------------------------------------------------------------

    def run_requests(self, client):
        small, medium, large = b"s" * 1000, os.urandom(100_000), os.urandom(2 * BLOCK + 5)
        self.assertEqual([client.put(b"small", small), client.put(b"medium", medium)],
                         [lib.OK, lib.OK])
        self.step("two puts", commands_total={"put": 2}, requests_total={"put,ok": 2},
                  shard_commands_total=2, bytes_in_total=101_000,
                  tenant_bytes_total={"in": 101_000}, write_total=2, write_bytes_total=101_000,
                  tenant_writes_total=2, l1_write_requests_total=2,
                  l1_write_reserved_keys_total=2, l1_written_keys_total=2, l2_stored_keys_total=2,
                  blocks_total=2, blocks_persisted=2, active_tenants=1, device_slots_used=2,
                  connections_active=1, hotkey_tracked_total=2, blocks_offloaded_total=2,
                  persist_us=2, allocate_duration_us=2)
        self.assertEqual(client.put(b"large", large), lib.OK)
        # Three segments and their manifest, which has 40 bytes.
        self.step("a put of segments", commands_total={"put": 1}, requests_total={"put,ok": 1},
                  shard_commands_total=1, bytes_in_total=len(large),
                  tenant_bytes_total={"in": len(large)}, write_total=4,
                  write_bytes_total=len(large) + 40, tenant_writes_total=4,
                  l1_write_requests_total=1, l1_write_reserved_keys_total=1,
                  l1_written_keys_total=3, l2_stored_keys_total=4, blocks_total=4,
                  hotkey_tracked_total=1, blocks_offloaded_total=3, persist_us=1,
                  allocate_duration_us=4)
        self.assertEqual([client.get(b"small"), client.get(b"medium"), client.get(b"nothing")],
                         [small, medium, "unknown"])
        self.step("gets from memory, and a miss", commands_total={"get": 3},
                  requests_total={"get,ok": 2, "get,not_found": 1}, shard_commands_total=3,
                  bytes_out_total=101_000, tenant_bytes_total={"out": 101_000},
                  lookup_keys_total={"get,memory": 2, "get,miss": 1},
                  tenant_lookup_keys_total={"memory": 2, "miss": 1}, not_found_total=1,
                  miss_keys_total={"unknown": 1}, l1_read_requests_total=3,
                  l1_read_hit_keys_total=2, l1_read_miss_keys_total=1, l1_read_keys_total=2,
                  l2_lookup_keys_total=1, hotkey_tracked_total=3)
        self.assertEqual(client.exists(b"small", b"medium", b"nothing"), [True, True, False])
        self.assertEqual(client.lookup(b"small", b"medium", b"nothing", b"small"), 2)
        self.step("EXISTS of three keys, LOOKUP of four", exists_total=1, lookup_total=1,
                  commands_total={"exists": 1, "lookup": 1},
                  requests_total={"exists,ok": 1, "lookup,ok": 1}, shard_commands_total=2,
                  lookup_keys_total={"exists,memory": 2, "exists,miss": 1, "lookup,memory": 3,
                                     "lookup,miss": 1},
                  tenant_lookup_keys_total={"memory": 5, "miss": 2}, not_found_total=2,
                  miss_keys_total={"unknown": 2}, l1_read_requests_total=2,
                  l1_read_hit_keys_total=5, l1_read_miss_keys_total=2, l2_lookup_keys_total=2,
                  lookup_prefix_blocks_total={"asked": 4, "hit": 2})
        self.assertEqual(client.delete(b"small", b"nothing"), [lib.OK, lib.NOT_FOUND])
        self.step("a DELETE of two keys, one of them leased", delete_total=1,
                  commands_total={"delete": 1}, requests_total={"delete,ok": 1},
                  shard_commands_total=1, not_found_total=1, blocks_total=-1)
        self.assertEqual([client.put(b"medium", medium), client.put(b"medium", small),
                          client.put(b"medium", small, flags=lib.REPLACE)],
                         [lib.OK, lib.CONFLICT, lib.OK])
        self.step("a put of what is there, of other content, and one that replaces",
                  commands_total={"put": 3}, requests_total={"put,ok": 2, "put,conflict": 1},
                  shard_commands_total=3, bytes_in_total=1000, tenant_bytes_total={"in": 1000},
                  write_total=1, write_bytes_total=1000, tenant_writes_total=1,
                  l1_write_requests_total=3, l1_write_reserved_keys_total=1,
                  l1_write_failed_keys_total={"conflict": 1}, l1_written_keys_total=1,
                  l2_stored_keys_total=1, blocks_total=0, hotkey_tracked_total=3,
                  blocks_offloaded_total=1, persist_us=1, allocate_duration_us=1)
        # Both that EXISTS gave have ended, with their blocks or because time had passed.
        self.assertEqual(self.before.family("memkv_leases_total"), 2)
        self.assertEqual(self.before["memkv_leases_active"], 0)

    def run_reservations(self, client):
        value = b"r" * 5000
        status, reservation = client.allocate(b"reserved", value)
        self.assertEqual(status, lib.OK)
        self.assertEqual(client.commit(reservation, value), lib.OK)
        status, reservation = client.allocate(b"given up", value)
        self.assertEqual(status, lib.OK)
        self.assertEqual(client.commit(reservation, flags=lib.ABANDON), lib.OK)
        self.step("two reservations, one committed", allocate_total=2, commit_total=2,
                  commands_total={"allocate": 2, "commit": 2},
                  requests_total={"allocate,ok": 2, "commit,ok": 2}, shard_commands_total=4,
                  bytes_in_total=5000, tenant_bytes_total={"in": 5000}, write_total=1,
                  write_bytes_total=5000, tenant_writes_total=1, l1_write_requests_total=2,
                  l1_write_reserved_keys_total=2, l1_written_keys_total=1, l2_stored_keys_total=1,
                  blocks_total=1, hotkey_tracked_total=2, blocks_offloaded_total=1,
                  persist_us=1, allocate_duration_us=2)
        self.assertEqual(client.put(b"relaxed", value, flags=lib.RELAXED), lib.OK)
        self.step("a relaxed put", commands_total={"put": 1}, requests_total={"put,ok": 1},
                  shard_commands_total=1, bytes_in_total=5000, tenant_bytes_total={"in": 5000},
                  write_total=1, write_bytes_total=5000, tenant_writes_total=1,
                  l1_write_requests_total=1, l1_write_reserved_keys_total=1,
                  l1_written_keys_total=1, l2_stored_keys_total=1, blocks_total=1,
                  hotkey_tracked_total=1, blocks_offloaded_total=1, persist_us=1,
                  allocate_duration_us=1)

    def run_sessions(self, client):
        self.assertEqual(client.session(7, lib.BEGIN), lib.OK)
        self.assertEqual(client.put(b"thought", b"t" * 3000, tier=lib.THINK_ACTIVE, session=7),
                         lib.OK)
        self.assertEqual(client.session(7, lib.EXIT_THINK, tokens=900, reason=lib.HARD_CAP),
                         lib.OK)
        self.step("a session and the end of its reasoning phase", commands_total={
            "session": 2, "put": 1}, requests_total={"session,ok": 2, "put,ok": 1},
                  shard_commands_total=3, bytes_in_total=3000, tenant_bytes_total={"in": 3000},
                  write_total=1, write_bytes_total=3000, tenant_writes_total=1,
                  l1_write_requests_total=1, l1_write_reserved_keys_total=1,
                  l1_written_keys_total=1, l2_stored_keys_total=1, blocks_total=1,
                  demotions_total={"exit_think": 1}, budget_force_total={"hard_cap": 1},
                  think_tokens_per_session=1, sessions_tracked=1,
                  blocks_by_tier={"think_complete": 1}, hotkey_tracked_total=1,
                  blocks_offloaded_total=1, persist_us=1, allocate_duration_us=1)
        self.assertEqual(client.session(7, lib.END), lib.OK)
        self.step("its end", commands_total={"session": 1}, requests_total={"session,ok": 1},
                  shard_commands_total=1, sessions_tracked=-1)
        pin = lib.item(lib.PIN, b"thought", expire_s=600)
        self.assertEqual(client.batch(pin), [lib.OK])
        self.assertEqual(client.batch(lib.item(lib.UNPIN, b"thought")), [lib.OK])
        self.step("a pin and its end", commands_total={"pin": 1, "unpin": 1},
                  requests_total={"pin,ok": 1, "unpin,ok": 1}, shard_commands_total=2)
        self.assertEqual(self.before.family("memkv_leases_total"), 3)
        self.assertEqual(self.before["memkv_leases_active"], 0)

    def run_tenant(self):
        client = self.client("batch")
        values = [letter * 400_000 for letter in (b"1", b"2", b"3")]
        for number, value in enumerate(values):
            self.assertEqual(client.put(b"%d" % number, value), lib.OK)
        self.assertEqual(client.put(b"too much", b"4" * (BLOCK - 1)), lib.QUOTA)
        self.step("a tenant beyond its quota", commands_total={"put": 4},
                  requests_total={"put,ok": 3, "put,quota": 1}, shard_commands_total=4,
                  bytes_in_total=1_200_000, tenant_bytes_total={"batch,in": 1_200_000},
                  write_total=3, write_bytes_total=1_200_000, tenant_writes_total={"batch": 3},
                  l1_write_requests_total=4, l1_write_reserved_keys_total=3,
                  l1_write_failed_keys_total={"no_space": 1}, l1_written_keys_total=3,
                  l2_stored_keys_total=3, l2_evicted_keys_total=1,
                  evictions_total={"unhinted": 1}, evictions_by_cause_total={"quota": 1},
                  tenant_evicted_blocks_total={"batch": 1},
                  tenant_evictions_caused_total={"batch": 1},
                  tenant_quota_rejections_total={"batch": 1}, active_tenants=1,
                  tenant_blocks={"batch": 2}, connections_active=1, hotkey_tracked_total=4,
                  blocks_offloaded_total=3, persist_us=3, allocate_duration_us=3)
        self.assertEqual(self.before['memkv_tenant_quota_bytes{tenant="batch"}'], MIB)

    def run_expiry(self, client):
        self.assertEqual(client.put(b"brief", b"b" * 3000, expire_s=1), lib.OK)
        end_s = time.monotonic() + WAIT_S_MAX
        while self.scrape().of("memkv_evictions_by_cause_total", cause="expire") == 0:
            self.assertLess(time.monotonic(), end_s, "the block does not expire")
            time.sleep(0.2)
        self.step("a put that expires", commands_total={"put": 1}, requests_total={"put,ok": 1},
                  shard_commands_total=1, bytes_in_total=3000,
                  tenant_bytes_total={"default,in": 3000},
                  write_total=1, write_bytes_total=3000, tenant_writes_total=1,
                  l1_write_requests_total=1, l1_write_reserved_keys_total=1,
                  l1_written_keys_total=1, l2_stored_keys_total=1,
                  evictions_by_cause_total={"expire": 1}, hotkey_tracked_total=1,
                  blocks_offloaded_total=1, persist_us=1, allocate_duration_us=1)

    def run_admin(self):
        paths = "memkv_admin_requests_total"
        before, scrapes = self.scrape(), self.scrapes
        self.node.http("/v1/health")
        self.node.http("/v1/nothing")
        after = self.scrape()
        moved = {series: after[series] - value for series, value in before.items()
                 if series.startswith(paths) and after[series] != value}
        self.assertEqual(moved, {f'{paths}{{path="/v1/health"}}': 1,
                                 f'{paths}{{path="other"}}': 1,
                                 f'{paths}{{path="/v1/metrics"}}': self.scrapes - scrapes})

    def with_a_key(self):
        """Whoever brings a key proves it, and nobody has to."""
        path = os.path.join(self.directory, "key")
        with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(
                name, flags, 0o600)) as file:
            file.write(KEY)
        return "network: {auth: none}\nauth: {keys: [{id: k, file: key}]}\n"

    def run_strangers(self):
        status, _ = self.node.http_tcp("/v1/status", headers={"Authorization": "Bearer nobody"})
        self.assertEqual(status, 401)
        self.step("a request with a credential that is none", auth_failures_total={"admin": 1})
        self.client(key=KEY, key_id="k")
        self.step("a client with a key", auth_sessions={"k": 1})
        with self.assertRaises(AssertionError):
            self.client(key=KEY, key_id="nobody")
        self.step("one with a key that is unknown", auth_failures_total={"native": 1},
                  auth_sessions=0)

    def run_faults(self):
        with socket.create_connection(("127.0.0.1", self.node.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
            stranger.settimeout(WAIT_S_MAX)
            try:
                while stranger.recv(4096):
                    pass
            except ConnectionError:
                pass
        self.step("bytes that are no frame", invalid_requests_total=1)

    def run_restart(self):
        """What was put is read from the drive; what rots there under a pin breaks a promise."""
        marker = os.urandom(64)
        client = self.client()
        value, rotten = os.urandom(60_000), marker * 1000
        self.assertEqual([client.put(b"kept", value), client.put(b"rotten", rotten)],
                         [lib.OK, lib.OK])
        self.check_spans("first")
        self.node.kill()
        self.start(extra=self.told("second"))
        self.assertEqual(self.before["memkv_store_epoch{device=\"d00\"}"], 2)
        client = self.client()
        self.assertEqual(client.batch(lib.item(lib.PIN, b"rotten", expire_s=600)), [lib.OK])
        with open(self.store, "r+b") as file:
            at = file.read().index(rotten)
            file.seek(at + 30_000)
            file.write(b"\0" * 8)
            file.flush()
            os.fsync(file.fileno())
        # A part is not kept in memory, so that both come from the drive.
        for _ in range(2):
            self.assertEqual(client.get(b"kept", offset=10, length=90), value[10:100])
        self.assertEqual(client.get_whole(b"kept"), value)
        self.assertEqual(client.get(b"kept", offset=10, length=90), value[10:100])
        self.assertEqual(client.get(b"rotten"), "checksum")
        self.step("gets behind a restart", commands_total={"get": 5, "pin": 1},
                  requests_total={"get,ok": 4, "get,not_found": 1, "pin,ok": 1},
                  shard_commands_total=6, bytes_out_total=60_270,
                  tenant_bytes_total={"default,out": 60_270},
                  lookup_keys_total={"get,drive": 3, "get,memory": 1, "get,miss": 1},
                  tenant_lookup_keys_total={"default,drive": 3, "default,memory": 1,
                                            "default,miss": 1},
                  not_found_total=1, miss_keys_total={"checksum": 1}, read_total=3,
                  read_bytes_total=60_180, l1_read_requests_total=5, l1_read_hit_keys_total=1,
                  l1_read_miss_keys_total=4, l1_read_keys_total=1, l1_written_keys_total=1,
                  l2_lookup_keys_total=4, l2_hit_keys_total=3, l2_loaded_keys_total=3,
                  l2_load_failures_total={"checksum": 1}, checksum_failures_total={"payload": 1},
                  repairs_total={"quarantined_slot": 1}, promise_broken_total=1,
                  leases_total={"overridden": 1}, leases_active=0, blocks_total=-1,
                  connections_active=1, hotkey_tracked_total=5)
        self.run_refused_spans(client)

    def told(self, life):
        """A node that tells of all that it does."""
        events = os.path.join(self.directory, f"events-{life}")
        return ("tenants: {quotas: 'batch=1MiB'}\n"
                "telemetry:\n  enabled: true\n  tracing_enabled: true\n  sampling_ratio: 1\n"
                f"  otlp_endpoint: {self.collector.endpoint}/{life}\n"
                f"""  processors: '[{{"type":"jsonl","path":"{events}"}}]'\n""")

    def check_spans(self, life):
        """The collector has a span of each request, and as many spans as the node counts."""
        def is_so(now):
            got = self.collector.counts(life)
            return (now["memkv_trace_spans_exported_total"] == got.taken and
                    now["memkv_trace_spans_dropped_total"] == got.refused and
                    now.family("memkv_requests_total") == got.requests)
        self.await_figures(f"all spans of the {life} life", is_so)
        self.assertGreater(self.collector.counts(life).taken, 0)

    def run_refused_spans(self, client):
        self.check_spans("second")
        exported = self.before["memkv_trace_spans_exported_total"]
        self.collector.refuse = True
        self.assertEqual(client.exists(b"nothing"), [False])
        self.step("an EXISTS whose span is refused", exists_total=1, commands_total={"exists": 1},
                  requests_total={"exists,not_found": 1}, shard_commands_total=1,
                  lookup_keys_total={"exists,miss": 1},
                  tenant_lookup_keys_total={"default,miss": 1}, not_found_total=1,
                  miss_keys_total={"unknown": 1}, l1_read_requests_total=1,
                  l1_read_miss_keys_total=1, l2_lookup_keys_total=1)
        self.check_spans("second")
        self.assertGreater(self.collector.counts("second").refused, 0)
        self.assertGreaterEqual(self.collector.counts("second").taken, exported)

    def test_telemetry__a_queue_of_two__each_event_queued_or_dropped(self):
        """And what is hot is halved each second, as /v1/hotkeys says too."""
        events = os.path.join(self.directory, "events")
        self.start(extra="metrics: {hotkeys_decay: 1s}\ntelemetry:\n  enabled: true\n"
                   "  max_queue_size: 2\n"
                   f"""  processors: '[{{"type":"jsonl","path":"{events}"}}]'\n""")
        client = self.client()
        requests = 0
        # Its thread takes two events fifty times a second.
        while self.scrape()["memkv_telemetry_dropped_total"] == 0:
            for _ in range(500):
                self.assertEqual(client.exists(b"nothing"), [False])
            requests += 500
            self.assertLess(requests, 100_000)
        self.step("requests faster than their events are taken",
                  telemetry_events_total=None, telemetry_dropped_total=None,
                  exists_total=requests, commands_total={"exists": requests},
                  requests_total={"exists,not_found": requests}, shard_commands_total=requests,
                  lookup_keys_total={"exists,miss": requests},
                  tenant_lookup_keys_total={"default,miss": requests}, not_found_total=requests,
                  miss_keys_total={"unknown": requests}, l1_read_requests_total=requests,
                  l1_read_miss_keys_total=requests, l2_lookup_keys_total=requests,
                  connections_active=1)

        def written(now):
            with open(events, encoding="utf-8") as file:
                return len(file.readlines()) == now["memkv_telemetry_events_total"]

        self.await_figures("each that was queued is written", written)

        halved = self.await_figures("hot keys are halved",
                                    lambda now: now["memkv_hotkey_decays_total"] > 0)
        told = json.loads(self.node.http("/v1/hotkeys")[1])["decays"]
        self.assertLessEqual(halved["memkv_hotkey_decays_total"], told)
        self.await_figures("as many as were told",
                           lambda now: now["memkv_hotkey_decays_total"] >= told)

    # ---- no room ---------------------------------------------------------------------------------

    def test_full_store__blocks_leave__evictions_add_up(self):
        self.start(store_mib=64, memory_mib=64)
        client = self.client()
        value = os.urandom(BLOCK - 4096)
        puts = 0

        def put(tier):
            nonlocal puts
            self.assertEqual(client.put(b"%d" % puts, value[puts:] + value[:puts], tier=tier),
                             lib.OK)
            puts += 1

        # Those without a hint leave before the last tier has to.
        while self.scrape()["memkv_l2_evicted_keys_total"] < 8:
            for _ in range(8):
                put(lib.UNHINTED)
        self.assertEqual(client.get(b"0", capacity=16), "evicted")
        while self.scrape()["memkv_output_critical_evictions_total"] == 0:
            for _ in range(8):
                put(lib.OUTPUT_CRITICAL)
        self.assertLess(puts, 1000)
        self.step("a store that overflows", commands_total={"put": puts, "get": 1},
                  requests_total={"put,ok": puts, "get,not_found": 1},
                  shard_commands_total=puts + 1, bytes_in_total=puts * len(value),
                  tenant_bytes_total={"default,in": puts * len(value)}, write_total=puts,
                  write_bytes_total=puts * len(value), tenant_writes_total=puts,
                  l1_write_requests_total=puts, l1_write_reserved_keys_total=puts,
                  l1_written_keys_total=puts, l1_evicted_keys_total=None,
                  l1_read_requests_total=1, l1_read_miss_keys_total=1, l2_lookup_keys_total=1,
                  lookup_keys_total={"get,miss": 1}, tenant_lookup_keys_total={"default,miss": 1},
                  miss_keys_total={"evicted": 1}, not_found_total=1, l2_stored_keys_total=puts,
                  l2_evicted_keys_total=None, evictions_total=None,
                  evictions_by_cause_total=None, tenant_evicted_blocks_total=None,
                  tenant_evictions_caused_total=None, output_critical_evictions_total=None,
                  block_lifetime_seconds=None, block_idle_before_evict_seconds=None,
                  hotkey_tracked_total=puts + 1,
                  connections_active=1, blocks_offloaded_total=puts, persist_us=puts,
                  allocate_duration_us=puts)
        self.assertEqual(self.before["memkv_blocks_total"],
                         puts - self.before["memkv_l2_evicted_keys_total"])
        self.assertEqual(self.before.family("memkv_tenant_evictions_caused_total"),
                         self.before["memkv_l2_evicted_keys_total"])

    def test_no_memory__puts_wait__until_their_deadline(self):
        self.start(memory_mib=64)
        release = threading.Event()
        self.addCleanup(release.set)
        statuses = []

        def put_slowly(number):
            client = lib.Client(self.node.address)
            statuses.append(client.put_slowly(b"slow %d" % number, 2 * BLOCK, release.wait))
            client.close()

        # More than there are slabs: some hold one, whose bytes do not come, others wait for one.
        count = 48
        threads = [threading.Thread(target=put_slowly, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        self.eventually("all are in flight", "memkv_requests_in_flight", count)
        self.assertGreater(self.scrape().of("memkv_queue_depth", queue="write"), 0)
        hasty = self.client(timeout_ms=3000)
        self.assertEqual(hasty.put(b"hasty", os.urandom(BLOCK)), lib.DEADLINE)
        self.assertEqual(self.scrape()["memkv_requests_in_flight"], count)
        release.set()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [lib.OK] * count)
        self.step("puts that wait for memory", commands_total={"put": count + 1},
                  requests_total={"put,ok": count, "put,deadline": 1},
                  shard_commands_total=count + 1, bytes_in_total=2 * count * BLOCK,
                  tenant_bytes_total=2 * count * BLOCK, write_total=3 * count,
                  write_bytes_total=count * (2 * BLOCK + 40), tenant_writes_total=3 * count,
                  l1_write_requests_total=count + 1, l1_write_reserved_keys_total=count,
                  l1_written_keys_total=2 * count, l1_evicted_keys_total=None,
                  l1_write_failed_keys_total={"no_memory": 1}, l2_stored_keys_total=3 * count,
                  blocks_total=3 * count, hotkey_tracked_total=count + 1, connections_active=1,
                  blocks_offloaded_total=2 * count, persist_us=count,
                  allocate_duration_us=3 * count, deadline_exceeded_total={"put,slab": 1})

    # ---- many ------------------------------------------------------------------------------------

    def test_batches__many_keys__items_and_requests_apart(self):
        self.start()
        client = self.client()
        batches, items, size = 64, 32, 1000
        count = batches * items
        value = os.urandom(size)

        def keys(batch):
            return [b"%d" % (batch * items + number) for number in range(items)]

        for batch in range(batches):
            statuses = client.batch(*(lib.item(lib.PUT, key, value) for key in keys(batch)))
            self.assertEqual(statuses, [lib.OK] * items)
        self.step("batches of puts", commands_total={"put": batches},
                  requests_total={"put,ok": batches}, shard_commands_total=batches,
                  bytes_in_total=count * size, tenant_bytes_total=count * size,
                  write_total=count, write_bytes_total=count * size, tenant_writes_total=count,
                  l1_write_requests_total=batches, l1_write_reserved_keys_total=count,
                  l1_written_keys_total=count, l2_stored_keys_total=count, blocks_total=count,
                  batch_size=batches, hotkey_tracked_total=count, blocks_offloaded_total=count,
                  persist_us=count, allocate_duration_us=count, block_reuse_gap_seconds=0)
        self.assertEqual(self.before['memkv_batch_size_sum{op="put"}'], count)
        buffer = ctypes.create_string_buffer(size)
        for batch in range(batches):
            # All into one place: nobody looks at what comes.
            gets = (lib.item(lib.GET, key, buffer=ctypes.addressof(buffer), capacity=size)
                    for key in keys(batch))
            self.assertEqual(client.batch(*gets), [lib.OK] * items)
        gets = count // 8  # the library asks for so many values at a time
        # The drive hears of some of them; of one block in so many it measures the time between.
        self.eventually("the drive hears of gets from memory", "memkv_block_reuse_gap_seconds", 1)
        self.step("batches of gets", commands_total={"get": gets},
                  requests_total={"get,ok": gets}, shard_commands_total=gets,
                  bytes_out_total=count * size, tenant_bytes_total=count * size,
                  lookup_keys_total={"get,memory": count},
                  tenant_lookup_keys_total={"default,memory": count},
                  l1_read_requests_total=gets, l1_read_hit_keys_total=count,
                  l1_read_keys_total=count, batch_size=gets, hotkey_tracked_total=count)
        self.assertEqual(self.before['memkv_batch_size_sum{op="get"}'], count)

    # ---- under load ------------------------------------------------------------------------------

    def test_load__every_scrape__one_moment(self):
        """What is counted together is shown together, also while it moves."""
        self.start(memory_mib=64)
        stop = threading.Event()
        moved = []

        def work(number):
            client = lib.Client(self.node.address)
            sent = got = requests = 0
            value = os.urandom(50_000)
            while not stop.is_set():
                key = b"%d-%d" % (number, requests % 40)
                # Content that was never there: only that is sent.
                content = b"%d %d" % (number, requests) + value
                client.put(key, content, flags=lib.REPLACE)
                back = client.get(key, capacity=60_000)
                client.lookup(key, b"nothing")
                sent, got, requests = sent + len(content), got + len(back), requests + 3
            moved.append((sent, got, requests))
            client.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        self.addCleanup(stop.set)
        for thread in threads:
            thread.start()
        for _ in range(20):
            now = self.scrape()
            family, of = now.family, now.of
            # One whose answer is on its way is answered, and in flight.
            answered, in_flight = (family("memkv_requests_total"),
                                   now["memkv_requests_in_flight"])
            self.assertLessEqual(answered, family("memkv_commands_total"))
            self.assertLessEqual(family("memkv_commands_total"), answered + in_flight)
            self.assertEqual(family("memkv_commands_total"),
                             family("memkv_shard_commands_total"))
            self.assertEqual(family("memkv_lookup_keys_total"),
                             family("memkv_tenant_lookup_keys_total"))
            self.assertEqual(family("memkv_miss_keys_total"),
                             of("memkv_lookup_keys_total", result="miss"))
            self.assertEqual(of("memkv_tenant_bytes_total", direction="in"),
                             family("memkv_bytes_in_total"))
            self.assertEqual(of("memkv_tenant_bytes_total", direction="out"),
                             family("memkv_bytes_out_total"))
            self.assertEqual(family("memkv_tenant_blocks"), now["memkv_blocks_persisted"])
            self.assertEqual(family("memkv_blocks_by_state"), now["memkv_blocks_total"])
            # Slots that a put has reserved, or that are being freed, are no tenant's.
            self.assertLessEqual(family("memkv_tenant_bytes"), now["memkv_storage_used_bytes"])
            self.check_under_load(now)
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        now = self.settled()
        sent, got, requests = (sum(figures) for figures in zip(*moved))
        self.assertEqual(now.family("memkv_bytes_in_total"), sent)
        self.assertEqual(now.family("memkv_bytes_out_total"), got)
        self.assertEqual(now.family("memkv_requests_total"), requests)
        self.check_relations(now)

    def test_relaxed_put__of_a_key_for_the_first_time__stays_unwritten(self):
        self.start(storage="  scrub_rate: 0MiB\n  admission: second_touch")
        client = self.client()
        value = os.urandom(5000)
        self.assertEqual(client.put(b"once", value, flags=lib.RELAXED), lib.OK)
        self.assertEqual(client.get(b"once", capacity=6000), value)
        now = self.settled()
        self.assertEqual(now.of("memkv_admission_rejected_keys_total", reason="first_touch"), 1)
        self.assertEqual(now.family("memkv_l2_stored_keys_total"), 0)

    def test_workload__every_step__moves_what_it_should(self):
        self.collector = self.enterContext(Collector())
        self.start(extra=self.told("first") + self.with_a_key())
        client = self.client()
        self.run_requests(client)
        self.run_reservations(client)
        self.run_sessions(client)
        self.run_tenant()
        self.run_expiry(client)
        self.run_faults()
        self.run_strangers()
        self.run_admin()
        self.run_restart()

    def test_zz_all__every_family__has_moved(self):
        """Runs last, behind all others of this file."""
        others = {name for name in dir(self) if name.startswith("test_")} - {self._testMethodName}
        if Workload.ended != others:
            self.skipTest("not all other tests of this file have run before")
        self.assertEqual(set(STILL) & Workload.moved, set(), "these move now")
        self.assertEqual(set(FAMILIES) - Workload.moved - set(STILL) - Workload.excused, set(),
                         "these have not moved")


if __name__ == "__main__":
    unittest.main()
