# SPDX-License-Identifier: Apache-2.0
"""A node whose metrics a test compares behind each step of what it does: every counter that a step
does not name must stay where it is, but for the families of WORK, which count what drives and
shards do beside requests; and families that tell of the same thing must say the same."""

import os
import re
import shutil
import tempfile
import time
import unittest

import libmemkv as lib
from node import SOURCE, Node

CONTRACT = os.path.join(SOURCE, "tests/contract/metrics.tsv")
WAIT_S_MAX = 120
MIB = 1 << 20
BLOCK = MIB  # storage.block_bytes_max
NS_PER_S = 1e9

# Families whose figures depend on when drives, shards and the system do their work; what is known
# of them is checked by relations.
WORK = re.compile(
    "process_|memkv_(uptime|scrape|device_io_|iouring_|journal_|directory_|btree_|checkpoint|"
    "dispatch|recovery|store_epoch|log_messages|command_time|memory_bytes|trim_|scrub_|config_last|"
    "leases_total|hotkey_decays|trace_)")


def contract():
    """Every family with its type."""
    with open(CONTRACT, encoding="utf-8") as file:
        rows = [line.split("\t") for line in file if not line.startswith("#")]
    return {row[0]: row[1] for row in rows}


FAMILIES = contract()


def family_of(series):
    name = series.split("{", 1)[0]
    while name not in FAMILIES:
        name = name.rsplit("_", 1)[0]
    return name


def parse(text):
    series = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            series[name] = float(value)
    return series


class Figures(dict):
    """One scrape."""

    def family(self, name):
        """The sum over all series of a family; of a histogram, what it has counted."""
        if FAMILIES[name] == "histogram":
            name += "_count"
        return sum(value for series, value in self.items() if series.split("{", 1)[0] == name)

    def of(self, name, **labels):
        """The sum over the series of a family with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(value for series, value in self.items() if series.split("{", 1)[0] == name
                   and all(label in series for label in wanted))


class Workload(unittest.TestCase):
    """A node whose figures are compared behind each step."""

    moved = set()
    ended = set()
    excused = set()  # what cannot move where the tests run
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="memkv-metrics-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.store = self.medium(0)

    def medium(self, drive):
        return os.path.join(self.directory, f"d{drive:02}.memkv")

    def start(self, store_mib=256, memory_mib=256, extra="", storage="", drives=1, **options):
        config = os.path.join(self.directory, "memkv.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"memory: {{max_size: {memory_mib}MiB}}\nlog: {{format: text}}\n{extra}"
                       f"storage:\n  mode: file\n  block_bytes_max: {BLOCK}\n"
                       f"{storage or '  scrub_rate: 0MiB'}\n"
                       "  drives:\n")
            for drive in range(drives):
                file.write(f"    - {{media: {self.medium(drive)}, size: {store_mib}MiB}}\n")
        self.telemetry = "telemetry:" in extra
        self.node = Node("--config", config, **options)
        self.addCleanup(self.node.__exit__)
        self.node.ready()
        self.scrapes = 0
        self.before = self.settled()
        return self.node

    def tearDown(self):
        Workload.ended.add(self._testMethodName)

    def client(self, tenant=None, **options):
        client = lib.Client(self.node.address, tenant, **options)
        self.addCleanup(client.close)
        return client

    def scrape(self):
        status, text = self.node.http("/v1/metrics")
        self.assertEqual(status, 200)
        self.scrapes += 1
        now = Figures(parse(text))
        Workload.moved |= {family_of(series) for series, value in now.items() if value != 0}
        return now

    def settled(self):
        """Figures of a moment with nothing in flight: two scrapes in a row agree."""
        end_s = time.monotonic() + WAIT_S_MAX
        last = None
        while time.monotonic() < end_s:
            now = self.scrape()
            strict = {series: value for series, value in now.items()
                      if self.is_strict(series) and FAMILIES[family_of(series)] == "counter"}
            if last == strict and now["memkv_requests_in_flight"] == 0 and \
                    now["memkv_dirty_queue_depth"] == 0 and \
                    now["memkv_journal_pending_entries"] == 0:
                return now
            last = strict
            time.sleep(0.25)
        self.fail("the figures do not come to rest")

    @staticmethod
    def is_strict(series):
        return not WORK.match(series) and not series.startswith("memkv_admin_requests_total")

    def step(self, title, **expected):
        """What has moved since the last step is what is expected: counters all, by family or by
        series; gauges and counts of histograms those that are named. Values of None may be
        anything above 0."""
        wanted = {f"memkv_{name}": value for name, value in expected.items()}
        now = self.settled()
        moved = Figures({series: value - self.before.get(series, 0)
                         for series, value in now.items()})
        if self.telemetry:
            wanted.setdefault("memkv_telemetry_events_total",
                              2 * moved.family("memkv_requests_total"))
        problems = []
        for name in {family_of(series) for series in now}:
            strict = FAMILIES[name] == "counter" and self.is_strict(name)
            if name not in wanted and not strict:
                continue
            target = wanted.get(name, 0)
            if isinstance(target, dict):
                for series, value in now.items():
                    if series.split("{", 1)[0] != name:
                        continue
                    labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
                    keys = [key for key in target if set(key.split(",")) <=
                            {f"{label}={text}" for label, text in labels.items()} |
                            set(labels.values())]
                    self.assertLessEqual(len(keys), 1, series)
                    want = target[keys[0]] if keys else 0
                    if moved[series] != want:
                        problems.append(f"{series} moved by {moved[series]:g}, not {want:g}")
            elif target is None:
                if moved.family(name) <= 0:
                    problems.append(f"{name} did not move")
            elif moved.family(name) != target:
                problems.append(f"{name} moved by {moved.family(name):g}, not {target:g}")
        self.assertEqual(sorted(problems), [], f"behind: {title}")
        self.check_relations(now)
        self.before = now

    def check_relations(self, now):
        """Families that tell of the same thing say the same."""
        family, of = now.family, now.of
        equal = self.assertEqual
        equal(family("memkv_requests_total"), family("memkv_shard_commands_total"))
        equal(family("memkv_commands_total"), family("memkv_shard_commands_total"))
        equal(now["memkv_requests_in_flight"], 0)
        # Each request has its START and its END.
        equal(now["memkv_telemetry_events_total"] + now["memkv_telemetry_dropped_total"],
              2 * family("memkv_requests_total") if self.telemetry else 0)
        self.check_times(now)
        for op in ("allocate", "lookup", "delete", "commit", "exists"):
            equal(now[f"memkv_{op}_total"], of("memkv_commands_total", op=op))
        equal(now["memkv_l1_read_hit_keys_total"],
              of("memkv_lookup_keys_total", result="memory"))
        equal(now["memkv_l2_hit_keys_total"], of("memkv_lookup_keys_total", result="drive"))
        equal(family("memkv_miss_keys_total"), of("memkv_lookup_keys_total", result="miss"))
        equal(now["memkv_l1_read_hit_keys_total"] + now["memkv_l1_read_miss_keys_total"],
              family("memkv_lookup_keys_total"))
        equal(now["memkv_l2_lookup_keys_total"], now["memkv_l1_read_miss_keys_total"])
        equal(family("memkv_tenant_lookup_keys_total"), family("memkv_lookup_keys_total"))
        equal(of("memkv_tenant_bytes_total", direction="in"), family("memkv_bytes_in_total"))
        equal(of("memkv_tenant_bytes_total", direction="out"), family("memkv_bytes_out_total"))
        equal(family("memkv_tenant_writes_total"), now["memkv_write_total"])
        equal(now["memkv_l2_stored_keys_total"], now["memkv_write_total"])
        equal(family("memkv_blocks_by_state"), now["memkv_blocks_total"])
        equal(family("memkv_blocks_by_tier"), now["memkv_blocks_persisted"])
        equal(family("memkv_tenant_blocks"), now["memkv_blocks_persisted"])
        equal(family("memkv_shard_blocks"), now["memkv_blocks_persisted"])
        equal(now["memkv_blocks_total"] - now["memkv_blocks_persisted"],
              now["memkv_dirty_queue_depth"])
        # A lease may outlast its block for a moment.
        self.assertLessEqual(of("memkv_blocks_by_state", state="leased"),
                             now["memkv_leases_active"])
        equal(family("memkv_tenant_bytes"), now["memkv_storage_used_bytes"])
        equal(family("memkv_device_bytes_used"), now["memkv_storage_used_bytes"])
        equal(family("memkv_device_capacity_usable_bytes"), now["memkv_storage_usable_bytes"])
        equal(family("memkv_device_capacity_raw_bytes"), now["memkv_storage_raw_bytes"])
        equal(now["memkv_block_capacity_bytes"], now["memkv_storage_usable_bytes"])
        equal(family("memkv_evictions_total"), now["memkv_l2_evicted_keys_total"])
        equal(family("memkv_evictions_total") +
              of("memkv_evictions_by_cause_total", cause="expire"),
              family("memkv_evictions_by_cause_total"))
        equal(of("memkv_evictions_total", tier="output_critical"),
              now["memkv_output_critical_evictions_total"])
        equal(family("memkv_tenant_evicted_blocks_total"), family("memkv_evictions_total"))
        equal(family("memkv_think_tokens_per_session"), family("memkv_budget_force_total"))
        equal(family("memkv_block_lifetime_seconds"),
              family("memkv_block_idle_before_evict_seconds"))
        equal(family("memkv_journal_head") - family("memkv_journal_applied"),
              family("memkv_journal_lag"))
        equal(family("memkv_device_online"), of("memkv_device_state", state="online") +
              of("memkv_device_state", state="slow"))
        equal(family("memkv_node_state"), 1)
        self.assertGreaterEqual(of("memkv_device_io_bytes_total", op="write"),
                                now["memkv_write_bytes_total"])

    def check_times(self, now):
        """Of histograms: what is counted in two of them, and parts that make a whole."""
        family, equal = now.family, self.assertEqual
        self.check_under_load(now)
        equal(family("memkv_request_latency_us"), family("memkv_requests_total"))
        for name, series in (("memkv_persist_pre_wait_us", "memkv_persist_us"),
                             ("memkv_writer_wait_us", "memkv_persist_us"),
                             ("memkv_persist_post_wait_us", "memkv_persist_us")):
            equal(family(name), family(series))
        parts = sum(now[f"memkv_{name}_us_sum"]
                    for name in ("persist_pre_wait", "writer_wait", "persist_post_wait"))
        self.assertAlmostEqual(parts, now["memkv_persist_us_sum"], delta=0.01)
        self.assertAlmostEqual(now.of("memkv_pipeline_stage_duration_seconds_sum"),
                               now["memkv_request_latency_us_sum"] / 1e6, delta=1e-6)
        for op in ("put", "get", "lookup", "delete", "session"):
            seconds = sum(now[f'memkv_command_duration_seconds_sum{{op="{name}"}}']
                          for name in (op, f"{op}_small") if op in ("put", "get") or name == op)
            self.assertAlmostEqual(seconds * NS_PER_S,
                                   now[f'memkv_command_time_ns_total{{op="{op}"}}'], delta=5)
            equal(now[f'memkv_batch_size_count{{op="{op}"}}'],
                  now[f'memkv_commands_total{{op="{op}"}}'])
        for op, name in (("read", "read"), ("write", "write"), ("flush", "fsync")):
            equal(now.of("memkv_device_io_duration_seconds_count", op=op),
                  now[f"memkv_iouring_{name}_us_count"])
            self.assertAlmostEqual(now.of("memkv_device_io_duration_seconds_sum", op=op) * 1e6,
                                   now[f"memkv_iouring_{name}_us_sum"], delta=0.01)

    def await_figures(self, what, is_so):
        """The first scrape of which this is so."""
        end_s = time.monotonic() + WAIT_S_MAX
        while True:
            now = self.scrape()
            if is_so(now):
                return now
            self.assertLess(time.monotonic(), end_s, what)
            time.sleep(0.05)

    def eventually(self, what, family, value, at_most=False):
        end_s = time.monotonic() + WAIT_S_MAX
        while True:
            now = self.scrape().family(family)
            if now <= value if at_most else now >= value:
                return
            self.assertLess(time.monotonic(), end_s, f"{what}: {family} is {now:g}")
            time.sleep(0.2)

    def check_under_load(self, now):
        """In flight is what began and has not ended."""
        self.assertEqual(now.family("memkv_commands_total"),
                         now.family("memkv_command_duration_seconds") +
                         now["memkv_requests_in_flight"])
