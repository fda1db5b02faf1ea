# SPDX-License-Identifier: Apache-2.0
"""What drives move that wait, fail or are slow, as tests of test_metrics.py: by memkv-faulty, whose
drives do so when they are told. What is over before somebody looks is held until it was seen."""

import ctypes
import os
import threading

import libmemkv as lib
from faults import FAULTY, Faults
from workload import BLOCK, Workload

VALUE_BYTES = 60_000
PART = {"offset": 10, "length": 90}  # a part is not kept in memory, so that it comes from the drive
PAGE_SLOTS = 168  # the slot table of the drive has one page
UNIT_BYTES = 4096
DRIVES = 3
READERS = 4  # of each drive
BATCH_GETS = 8


def in_flight(now, operation):
    return now.of("memkv_device_io_in_flight", op=operation)


class DriveSteps(Workload):
    def start_faulty(self, store_mib=64, **options):
        path = os.path.join(self.directory, "faults")
        if not os.path.exists(path):
            self.faults = Faults(path)
            self.addCleanup(self.faults.close)
        node = self.start(store_mib=store_mib, program=FAULTY,
                          variables={"MKV_FAULTY_DRIVES": path}, **options)
        # Drives let go of what they hold before the node is waited for.
        self.addCleanup(self.faults.heal)
        return node

    @staticmethod
    def puts(count, refused=0):
        """What puts of small blocks move, some of which the drive failed."""
        done = count - refused
        return {
            "commands_total": {"put": count}, "shard_commands_total": count,
            "requests_total": {"put,ok": done, "put,io_error": refused},
            "bytes_in_total": count * VALUE_BYTES, "write_total": done,
            "write_bytes_total": done * VALUE_BYTES, "l1_write_requests_total": count,
            "l1_write_reserved_keys_total": count, "l1_written_keys_total": done,
            "l2_stored_keys_total": done, "hotkey_tracked_total": count,
            "tenant_bytes_total": count * VALUE_BYTES, "tenant_writes_total": done,
            "blocks_total": done, "blocks_offloaded_total": count, "persist_us": done,
            "allocate_duration_us": count}

    @staticmethod
    def gets(count):
        """What gets of parts of blocks move, that are on drives and in no memory."""
        return {
            "commands_total": {"get": count}, "requests_total": {"get,ok": count},
            "shard_commands_total": count, "bytes_out_total": 90 * count,
            "tenant_bytes_total": 90 * count, "read_total": count,
            "read_bytes_total": 90 * count, "l1_read_requests_total": count,
            "l1_read_miss_keys_total": count, "l2_lookup_keys_total": count,
            "l2_hit_keys_total": count, "l2_loaded_keys_total": count,
            "lookup_keys_total": {"get,drive": count},
            "tenant_lookup_keys_total": {"drive": count}, "hotkey_tracked_total": count}

    # ---- one drive that waits --------------------------------------------------------------------

    def test_drive__waits__what_waits_for_it_is_counted(self):
        self.value = os.urandom(VALUE_BYTES)
        self.run_kill()
        self.run_scrub()
        self.run_superblock()
        self.run_held_reads()
        self.run_held_flushes()
        self.run_read_error()
        self.run_loss()

    def run_kill(self):
        """What was journaled and is in no checkpoint is what the next start replays."""
        self.start_faulty()
        self.assertEqual(self.client().put(b"kept", self.value), lib.OK)
        self.step("the first put", connections_active=1, **self.puts(1))
        self.assertEqual(self.before.family("memkv_checkpoints_total"), 0)
        entries = self.before.family("memkv_journal_entries_total")
        self.assertGreater(entries, 0)
        self.node.kill()
        self.start_faulty()
        self.assertEqual(self.before.family("memkv_recovery_replayed_entries"), entries)
        self.assertEqual(self.node.terminate(), 0)

    def run_scrub(self):
        """At a byte a second the first block has been read, and the second never will be."""
        self.start_faulty(storage="  scrub_rate: 1B\n")
        self.eventually("the first block is read", "memkv_scrub_slots_total", 1)
        now = self.settled()
        self.assertEqual(now.family("memkv_scrub_slots_total"), 1)
        self.assertAlmostEqual(now.family("memkv_scrub_progress_ratio"), 1 / PAGE_SLOTS, delta=1e-6)
        self.assertEqual(now.family("memkv_recovery_replayed_entries"), 0)
        self.assertEqual(self.node.terminate(), 0)

    def run_superblock(self):
        with open(self.store, "r+b") as file:
            file.write(bytes(UNIT_BYTES))
        self.start_faulty()
        self.assertEqual(self.before['memkv_repairs_total{kind="superblock_copy"}'], 1)
        self.assertEqual(self.before.family("memkv_repairs_total"), 1)

    def run_held_reads(self):
        """The directory, which has to read before it can list a block, and a get."""
        client, other = self.client(), self.client()
        self.faults.stall(0, "read")
        self.assertEqual(client.put(b"other", self.value), lib.OK)
        self.await_figures("the directory reads", lambda now: in_flight(now, "read") == 1 and
                           now.family("memkv_directory_lag") == 1)
        got = []
        reader = threading.Thread(target=lambda: got.append(other.get(b"kept", **PART)))
        reader.start()
        now = self.await_figures("a get waits", lambda now: in_flight(now, "read") == 2)
        self.assertEqual(now["memkv_requests_in_flight"], 1)
        self.assertEqual(now.family("memkv_commands_total"), 2)
        self.assertEqual(now.family("memkv_requests_total"), 1)
        self.faults.heal()
        reader.join()
        self.assertEqual(got, [self.value[10:100]])
        moved = self.gets(1)
        for name, value in self.puts(1).items():
            moved[name] = {**value, **moved.get(name, {})} if isinstance(value, dict) else \
                value + moved.get(name, 0)
        self.step("a put and a get that waited", connections_active=2, **moved)
        self.await_directory()

    def await_directory(self):
        """Beside requests it alone uses the drive."""
        self.await_figures("the directory is done", lambda now: now.family(
            "memkv_directory_lag") == now.family("memkv_device_io_in_flight") == 0)

    def run_held_flushes(self):
        """A delete waits for its journal entry; a relaxed put is answered before it is durable."""
        client, other = self.client(), self.client()
        self.faults.stall(0, "flush")
        statuses = []
        deleter = threading.Thread(target=lambda: statuses.extend(other.delete(b"other")))
        deleter.start()
        self.assertEqual(client.put(b"loose", self.value, flags=lib.RELAXED), lib.OK)
        now = self.await_figures("both wait", lambda now: in_flight(now, "flush") == 1 and
                                 now["memkv_journal_pending_entries"] == 1 and
                                 now["memkv_dirty_queue_depth"] == 1)
        self.assertEqual(now["memkv_requests_in_flight"], 1)
        self.faults.heal()
        deleter.join()
        self.assertEqual(statuses, [lib.OK])
        self.step("a relaxed put and a delete that waited", delete_total=1, connections_active=2,
                  **{**self.puts(1), "commands_total": {"put": 1, "delete": 1},
                     "requests_total": {"put,ok": 1, "delete,ok": 1}, "shard_commands_total": 2,
                     "blocks_total": 0})

    def run_read_error(self):
        client = self.client()
        self.await_directory()
        self.faults.fail(0, "read")
        self.assertEqual(client.get(b"kept", **PART), lib.IO_ERROR)
        self.faults.heal()
        self.step("a get that the drive fails", connections_active=1, **self.failed_get)

    failed_get = {
        "commands_total": {"get": 1}, "requests_total": {"get,io_error": 1},
        "shard_commands_total": 1, "miss_keys_total": {"io_error": 1},
        "lookup_keys_total": {"get,miss": 1}, "tenant_lookup_keys_total": {"miss": 1},
        "l1_read_requests_total": 1, "l1_read_miss_keys_total": 1, "l2_lookup_keys_total": 1,
        "l2_load_failures_total": {"io_error": 1}, "device_io_errors_total": {"read": 1},
        "hotkey_tracked_total": 1}

    def run_loss(self):
        """A drive that is gone is out of service."""
        client = self.client()
        self.faults.gone(0, "read")
        self.assertEqual(client.get(b"kept", **PART), lib.IO_ERROR)
        self.await_figures("the drive is lost", lambda now: now.of(
            "memkv_transport_transitions_total", kind="drive_offline") == 1)
        self.step("a get from a drive that is gone", connections_active=1,
                  transport_transitions_total={"drive_offline": 1}, device_online=-1,
                  device_state={"online": -1, "failed": 1},
                  node_state={"serving": -1, "unhealthy": 1}, **self.failed_get)

    # ---- several, of which one is slow -----------------------------------------------------------

    def test_drives__one_slow__told_by_name(self):
        self.start_faulty(drives=DRIVES)
        client = self.client()
        value = os.urandom(VALUE_BYTES)
        keys = [b"%d" % number for number in range(32 * DRIVES)]
        self.assertEqual({client.put(key, value) for key in keys}, {lib.OK})
        self.step("puts", connections_active=1, **self.puts(len(keys)))
        self.assertEqual(self.node.terminate(), 0)
        self.start_faulty(drives=DRIVES, storage=self.soon)
        self.run_slow(keys)

    soon = "  slow_after: 6s\n  scrub_rate: 0B\n"

    def run_slow(self, keys):
        """Gets from all drives, none of which waits for another one, until the slow one has been
        told of."""
        homes = {key: self.node.http(f"/v1/why?key={key.decode()}")[1] for key in keys}
        drives = [[key for key in keys if f'"d{drive:02}"' in homes[key]]
                  for drive in range(DRIVES)]
        self.assertEqual(sum(map(len, drives)), len(keys))
        self.faults.delay(2, 500, "read")
        ending = threading.Event()
        self.addCleanup(ending.set)
        batches = []

        def read(there):
            client = lib.Client(self.node.address)
            buffer = ctypes.create_string_buffer(90)
            place = ctypes.addressof(buffer)  # all into one: nobody looks at what comes
            count = 0
            while not ending.wait(0.05):
                chosen = (there[(count + number) % len(there)] for number in range(BATCH_GETS))
                count += client.batch(*(lib.item(lib.GET, key, buffer=place, capacity=90, **PART)
                                        for key in chosen)) == [lib.OK] * BATCH_GETS
            batches.append(count)
            client.close()

        threads = [threading.Thread(target=read, args=(there,))
                   for there in drives for _ in range(READERS)]
        for thread in threads:
            thread.start()
        now = self.await_figures("the drive is told of",
                                 lambda now: now['memkv_device_slow{device="d02"}'] == 1)
        self.assertEqual(now.family("memkv_device_slow"), 1)
        self.assertEqual(now['memkv_device_state{device="d02",state="slow"}'], 1)
        self.assertEqual(now['memkv_device_state{device="d02",state="online"}'], 0)
        ending.set()
        for thread in threads:
            thread.join()
        self.faults.heal()
        count = sum(batches)
        self.step("gets from a slow drive", **{
            **self.gets(count * BATCH_GETS), "commands_total": {"get": count},
            "requests_total": {"get,ok": count}, "shard_commands_total": count,
            "l1_read_requests_total": count})

    # ---- one that is full ------------------------------------------------------------------------

    def test_full_store_without_eviction__no_space__counted_once(self):
        try:
            self.start_faulty(store_mib=32, storage=self.full)
            trims = True
        except AssertionError as error:
            if "punch holes" not in str(error):
                raise
            self.start_faulty(store_mib=32, storage=self.full.replace("trim: on", "trim: off"))
            trims = False
        client = self.client()
        value = os.urandom(BLOCK - 4096)
        puts = 0
        while client.put(b"%d" % puts, value) == lib.OK:
            puts += 1
            self.assertLess(puts, 64)
        self.step("a store that is full", commands_total={"put": puts + 1},
                  requests_total={"put,ok": puts, "put,no_space": 1},
                  shard_commands_total=puts + 1, no_space_total=1,
                  bytes_in_total=puts * len(value), tenant_bytes_total=puts * len(value),
                  write_total=puts, write_bytes_total=puts * len(value),
                  tenant_writes_total=puts, l1_write_requests_total=puts + 1,
                  l1_write_reserved_keys_total=puts, l1_written_keys_total=puts,
                  l1_write_failed_keys_total={"no_space": 1}, l2_stored_keys_total=puts,
                  blocks_total=puts, hotkey_tracked_total=puts + 1,
                  blocks_offloaded_total=puts, persist_us=puts, allocate_duration_us=puts)
        self.eventually("the scrubber reads", "memkv_scrub_slots_total", puts)
        self.faults.stall(0, "trim")
        self.faults.fail(0, "trim")
        self.assertEqual(client.delete(*(b"%d" % number for number in range(puts))),
                         [lib.OK] * puts)
        self.step("a DELETE of all", commands_total={"delete": 1}, delete_total=1,
                  requests_total={"delete,ok": 1}, shard_commands_total=1, blocks_total=-puts,
                  device_slots_used=-puts)
        if trims:
            self.run_trims()
            return
        Workload.excused |= {f"memkv_trim_{name}" for name in (
            "extents_total", "bytes_total", "latency_us", "errors_total", "pending")}
        with self.subTest("trims"):
            self.skipTest("this file system does not punch holes, so that no drive trims")

    def run_trims(self):
        """A drive that has nothing else to do forgets what no block needs; the first trim fails."""
        now = self.await_figures("trims wait for the first one",
                                 lambda now: now["memkv_trim_pending"] > 1)
        self.assertEqual(in_flight(now, "trim"), 1)
        self.assertEqual(now.family("memkv_trim_errors_total"), 0)
        self.faults.heal()
        self.await_figures("no trim is left", lambda now: now["memkv_trim_pending"] == 0 and
                           now.family("memkv_trim_bytes_total") > 0)
        now = self.settled()
        self.assertEqual(now.family("memkv_trim_errors_total"), 1)
        self.assertEqual(now.of("memkv_device_io_errors_total", op="trim"), 1)
        self.assertEqual(now.family("memkv_device_io_errors_total"), 1)
        self.assertEqual(now.family("memkv_trim_bytes_total"),
                         now.of("memkv_device_io_bytes_total", op="trim"))
        self.assertEqual(now.family("memkv_trim_latency_us"),
                         now.of("memkv_device_io_duration_seconds_count", op="trim"))

    full = "  eviction: off\n  scrub_rate: 1GiB\n  trim: on\n"
