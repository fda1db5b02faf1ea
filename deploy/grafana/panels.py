# SPDX-License-Identifier: Apache-2.0
"""The table of the dashboard: rows, and in each the panels with their questions to Prometheus.

In an expression `{N}` stands for the nodes that are chosen at the top. A rate's window is
$__rate_interval, which Grafana makes wide enough for the scrape interval.
"""

R = "[$__rate_interval]"
GREEN = [(None, "green")]


def graph(title, unit, text, *queries, width=8, kind="graph"):
    return {"title": title, "unit": unit, "help": text, "queries": queries, "width": width,
            "kind": kind}


def stack(*arguments, **options):
    return graph(*arguments, kind="stack", **options)


def heatmap(title, unit, text, family, matchers):
    """How many requests a second took how long, by the bounds of a histogram."""
    return graph(title, unit, text,
                 (f"sum by (le) (rate({family}_bucket{{N{matchers}}}{R}))", "{{le}}"),
                 width=12, kind="heatmap")


def stat(title, unit, text, expression, legend="", steps=GREEN, show="auto", width=3):
    return {"title": title, "unit": unit, "help": text, "queries": [(expression, legend)],
            "width": width, "kind": "stat", "steps": steps, "text": show}


def percentiles(title, text, family, matchers="", unit="s", by="", legend="", width=8):
    """p50, p95 and p99 of a histogram; `by` are labels to keep, with their comma."""
    return graph(title, unit, text, *[
        (f"histogram_quantile({q}, sum by ({by}le) (rate({family}_bucket{{N{matchers}}}{R})))",
         f"{legend}p{name}")
        for q, name in ((0.5, "50"), (0.95, "95"), (0.99, "99"))], width=width)


def rate(family, by, matchers=""):
    return f"sum by ({by}) (rate({family}{{N{matchers}}}{R}))"


def mean(family, by, matchers=""):
    """The mean of what a histogram has seen, by labels."""
    return (f"sum by ({by}) (rate({family}_sum{{N{matchers}}}{R}))"
            f" / sum by ({by}) (rate({family}_count{{N{matchers}}}{R}))")


ASKED = f"sum(rate(memkv_lookup_keys_total{{N}}{R}))"
ERRORS = ',status=~"no_space|deadline|io_error|busy"'

GLANCE = {"title": "At a glance", "folded": False, "panels": [
    stat("State", "none", "What each node says of itself (memkv_node_state).",
         "max by (state) (memkv_node_state{N}) == 1", "{{state}}", show="name"),
    stat("Drives that do not serve", "none", "Their keys are misses.",
         "count(memkv_device_online{N}) - sum(memkv_device_online{N})",
         steps=[(None, "green"), (1, "red")]),
    stat("Warnings", "none", "`memkv admin status` shows what they are and what to do.",
         "sum(memkv_warning{N})", steps=[(None, "green"), (1, "orange")]),
    stat("Hit ratio", "percentunit", "Of the keys asked for, by lookups, exists and gets.",
         f'sum(rate(memkv_lookup_keys_total{{N,result!="miss"}}{R})) / {ASKED}'),
    stat("Hit bytes", "Bps", "Bytes that need not be computed again.",
         f"sum(rate(memkv_bytes_out_total{{N}}{R}))"),
    stat("p99 of gets", "s", "From the request's first byte read to its transfer completed.",
         "histogram_quantile(0.99, sum by (le) "
         f'(rate(memkv_command_duration_seconds_bucket{{N,op="get"}}{R})))',
         steps=[(None, "green"), (0.1, "red")]),
    stat("Errors a second", "none", "no_space, deadline, io_error and busy.",
         f"sum(rate(memkv_requests_total{{N{ERRORS}}}{R}))",
         steps=[(None, "green"), (1, "orange"), (10, "red")]),
    stat("Fill", "percentunit", "A cache is full for ever: look at how long blocks stay.",
         "sum(memkv_storage_used_bytes{N}) / sum(memkv_storage_usable_bytes{N})"),
]}

LOAD = {"title": "Load", "folded": False, "panels": [
    graph("Write operations", "ops", "Puts, commits of reservations and deletes.",
          (rate("memkv_commands_total", "op", ',op=~"put|commit|allocate|delete"'), "{{op}}")),
    stack("Operations by type", "ops", "Requests accepted, by operation.",
          (rate("memkv_commands_total", "op"), "{{op}}")),
    graph("Throughput", "Bps", "Payload from and to clients, by fabric.",
          (rate("memkv_bytes_in_total", "fabric"), "in {{fabric}}"),
          (rate("memkv_bytes_out_total", "fabric"), "out {{fabric}}")),
    percentiles("Duration of requests", "All operations together.",
                "memkv_command_duration_seconds"),
    stack("Error rate", "reqps", "Requests that the store owed and did not serve, by status.",
          (rate("memkv_requests_total", "status", ERRORS), "{{status}}")),
    graph("In flight and waiting", "none", "Requests being processed, and queues.",
          ("sum(memkv_requests_in_flight{N})", "in flight"),
          ("sum by (queue) (memkv_queue_depth{N})", "waiting: {{queue}}")),
    heatmap("Latency of gets", "s", "Two bands are two kinds of gets: memory and drive.",
            "memkv_command_duration_seconds", ',op=~"get|get_small"'),
    heatmap("Latency of puts", "s", "Bands far apart are puts that waited for a flush.",
            "memkv_command_duration_seconds", ',op=~"put|put_small"'),
    graph("Active tenants", "none", "Tenants with at least one block.",
          ("sum by (instance) (memkv_active_tenants{N})", "{{instance}}")),
    graph("Items in a request", "none", "Batches are cheaper than single requests.",
          (mean("memkv_batch_size", "op"), "{{op}}")),
    graph("Transitions", "none", "Drives and RDMA that came and went.",
          ("sum by (kind) (increase(memkv_transport_transitions_total{N}" + R + "))", "{{kind}}")),
]}

FIRST_TOKEN = {"title": "Why is time to first token bad?", "folded": True, "panels": [
    percentiles("Gets", "What an engine waits for before it may go on with a prefix.",
                "memkv_command_duration_seconds", ',op=~"get|get_small"'),
    percentiles("Lookups", "An engine asks before it reads: this comes first.",
                "memkv_command_duration_seconds", ',op=~"lookup|exists"'),
    stack("Where the time goes", "s", "Mean time of each stage that requests go through.",
          (mean("memkv_pipeline_stage_duration_seconds", "stage"), "{{stage}}")),
    stack("Late requests by stage", "reqps", "Past their deadline, by the stage they were in.",
          (rate("memkv_deadline_exceeded_total", "stage"), "{{stage}}")),
    stack("Keys asked for by result", "ops", "A miss is computed anew: the slowest of all.",
          (rate("memkv_lookup_keys_total", "result"), "{{result}}")),
    graph("Prefix blocks: asked and hit", "ops", "What is asked and not hit is computed anew.",
          (rate("memkv_lookup_prefix_blocks_total", "part"), "{{part}}")),
]}

HITS = {"title": "Why is the hit rate low?", "folded": True, "panels": [
    stack("Results of keys asked for", "percentunit", "Shares of memory, drives and misses.",
          (f'{rate("memkv_lookup_keys_total", "result")} / scalar({ASKED})', "{{result}}")),
    stack("Why keys were missed", "ops", "unknown: never stored. evicted: the store is too small.",
          (rate("memkv_miss_keys_total", "reason"), "{{reason}}")),
    graph("Age of blocks when they are evicted", "s", "Below an hour the store is too small.",
          *[(f"histogram_quantile({q}, sum by (le) "
             f"(rate(memkv_block_lifetime_seconds_bucket{{N}}{R})))", f"lifetime p{p}")
            for q, p in ((0.1, 10), (0.5, 50))],
          (f"histogram_quantile(0.5, sum by (le) "
           f"(rate(memkv_block_idle_before_evict_seconds_bucket{{N}}{R})))", "idle p50")),
    percentiles("Time between two uses of a block", "Longer than the lifetime: too late to hit.",
                "memkv_block_reuse_gap_seconds"),
    stack("Evictions by cause", "ops", "capacity and class_rebalance make room for others.",
          (rate("memkv_evictions_by_cause_total", "cause"), "{{cause}}")),
    graph("Hits of each tier", "percentunit", "Of the keys that each tier was asked for.",
          (f"sum(rate(memkv_l1_read_hit_keys_total{{N}}{R})) / "
           f"(sum(rate(memkv_l1_read_hit_keys_total{{N}}{R})) + "
           f"sum(rate(memkv_l1_read_miss_keys_total{{N}}{R})))", "memory"),
          (f"sum(rate(memkv_l2_hit_keys_total{{N}}{R})) / "
           f"sum(rate(memkv_l2_lookup_keys_total{{N}}{R}))", "drives")),
    graph("Stored, written, not admitted", "ops", "Do engines store at all, and does it arrive?",
          (rate("memkv_l1_write_requests_total", "instance"), "puts {{instance}}"),
          (rate("memkv_l2_stored_keys_total", "instance"), "to drives {{instance}}"),
          (rate("memkv_admission_rejected_keys_total", "reason"), "rejected: {{reason}}"),
          (rate("memkv_l1_write_failed_keys_total", "reason"), "failed: {{reason}}")),
    graph("Leases", "ops", "expired: lookups that no get followed. refused: too many are held.",
          (rate("memkv_leases_total", "outcome"), "{{outcome}}"),
          (f"sum(rate(memkv_promise_broken_total{{N}}{R}))", "broken")),
]}

TENANTS = {"title": "Which tenant evicts whom?", "folded": True, "panels": [
    stack("Evictions caused by", "ops", "The tenant that needed the room.",
          (f'topk(10, {rate("memkv_tenant_evictions_caused_total", "tenant")})', "{{tenant}}")),
    stack("Evictions suffered by", "ops", "The tenant whose blocks left.",
          (f'topk(10, {rate("memkv_tenant_evicted_blocks_total", "tenant")})', "{{tenant}}")),
    graph("Caused less suffered", "ops", "Above zero: takes room of others. Below: gives it.",
          (f'{rate("memkv_tenant_evictions_caused_total", "tenant")} - '
           f'{rate("memkv_tenant_evicted_blocks_total", "tenant")}', "{{tenant}}")),
    stack("Bytes", "bytes", "Room that tenants take.",
          ("topk(10, sum by (tenant) (memkv_tenant_bytes{N}))", "{{tenant}}")),
    graph("Quota used", "percentunit", "Of tenants that have one.",
          ("sum by (tenant) (memkv_tenant_bytes{N}) / "
           "(sum by (tenant) (memkv_tenant_quota_bytes{N}) > 0)", "{{tenant}}")),
    graph("Hit ratio", "percentunit", "Of the keys that clients of a tenant asked for.",
          (f"""{rate("memkv_tenant_lookup_keys_total", "tenant", ',result!="miss"')} / """
           f"""{rate("memkv_tenant_lookup_keys_total", "tenant")}""", "{{tenant}}")),
    stack("Blocks written", "ops", "Who writes.",
          (f'topk(10, {rate("memkv_tenant_writes_total", "tenant")})', "{{tenant}}")),
    stack("Bytes moved", "Bps", "In and out, by tenant.",
          (f'topk(10, {rate("memkv_tenant_bytes_total", "tenant, direction")})',
           "{{tenant}} {{direction}}")),
    graph("Refused for a quota", "reqps", "Raise the quota, or look at what the tenant stores.",
          (rate("memkv_tenant_quota_rejections_total", "tenant"), "{{tenant}}")),
]}

WHERE = {"title": "Drive, network or client?", "folded": True, "panels": [
    stack("Time of gets and puts by stage", "s",
          "Seconds that all requests spend in a stage, each second. read, write, flush: the drive. "
          "pull, push: the network and the client. wait_slab: memory.",
          (rate("memkv_pipeline_stage_duration_seconds_sum", "stage"), "{{stage}}"), width=12),
    percentiles("Stages", "The stage whose p99 follows that of gets is the one to look at.",
                "memkv_pipeline_stage_duration_seconds", by="stage, ", legend="{{stage}} ",
                width=12),
    graph("p99 of each drive", "s", "One line above the others: docs/runbooks/drive-slow.md.",
          ("histogram_quantile(0.99, sum by (instance, device, op, le) "
           f"(rate(memkv_device_io_duration_seconds_bucket{{N}}{R})))",
           "{{instance}} {{device}} {{op}}"), width=12),
    graph("Drives busy", "percentunit", "Time with at least one operation in flight.",
          (rate("memkv_device_io_busy_seconds_total", "instance, device"),
           "{{instance}} {{device}}"), width=6),
    graph("Operations in flight at drives", "none", "High on one drive alone: that one is slow.",
          ("sum by (instance, device) (memkv_device_io_in_flight{N})", "{{instance}} {{device}}"),
          ("sum by (instance, device) (memkv_device_slow{N})", "slow: {{instance}} {{device}}"),
          width=6),
    stack("Bytes of drives", "Bps", "Metadata too. Drives of one kind should be alike.",
          (rate("memkv_device_io_bytes_total", "device, op"), "{{device}} {{op}}")),
    graph("Drives that do not serve, errors", "none", "Any is a reason to look.",
          ("sum by (instance, device) (1 - memkv_device_online{N})", "off {{instance}} {{device}}"),
          (rate("memkv_device_io_errors_total", "device, op"), "errors {{device}} {{op}}")),
    graph("Connections", "none", "Clients by fabric, and those that fell back to TCP.",
          ("sum by (fabric) (memkv_connections_active{N})", "{{fabric}}"),
          (f"sum(increase(memkv_rdma_fallbacks_total{{N}}{R}))", "fallbacks"),
          (f"sum(increase(memkv_rdma_recoveries_total{{N}}{R}))", "recoveries")),
    graph("RDMA", "µs", "Nothing here where clients come over TCP.",
          *[("histogram_quantile(0.99, sum by (le) "
             f"(rate(memkv_rdma_{op}_latency_us_bucket{{N}}{R})))", f"p99 of {op}")
            for op in ("read", "write")],
          (f"sum(rate(memkv_rdma_errors_total{{N}}{R}))", "errors a second")),
    graph("Put: where the write waits", "µs", "pre + wait + post = persist, means.",
          *[(f"sum(rate(memkv_{part}_us_sum{{N}}{R})) / sum(rate(memkv_{part}_us_count{{N}}{R}))",
             part)
            for part in ("persist", "persist_pre_wait", "writer_wait", "persist_post_wait")]),
    graph("io_uring", "µs", "p99 of operations, submit to completion, all drives together.",
          *[("histogram_quantile(0.99, sum by (le) "
             f"(rate(memkv_iouring_{op}_us_bucket{{N}}{R})))", op)
            for op in ("read", "write", "fsync")]),
    graph("Core steps", "s", "From an input to its effects; a shard does nothing else meanwhile.",
          (f"histogram_quantile(0.99, sum by (instance, le) "
           f"(rate(memkv_dispatch_duration_seconds_bucket{{N}}{R})))", "p99 {{instance}}")),
]}

DURABLE = {"title": "Journal, recovery and damage", "folded": True, "panels": [
    graph("Journal lag", "none", "Positions that the durable checkpoint does not cover.",
          ("sum by (instance, device) (memkv_journal_lag{N})", "{{instance}} {{device}}")),
    graph("Journal ring", "percentunit", "Checkpoints begin at half; at the end puts wait.",
          ("sum by (instance, device) (memkv_journal_size_bytes{N}) / "
           "sum by (instance, device) (memkv_journal_capacity_bytes{N})",
           "{{instance}} {{device}}")),
    graph("Waiting to be durable", "none", "Entries before a flush; relaxed puts before a write.",
          ("sum by (instance) (memkv_journal_pending_entries{N})", "journal {{instance}}"),
          ("sum by (instance) (memkv_dirty_queue_depth{N})", "relaxed puts {{instance}}")),
    percentiles("Journal flush", "What every durable put waits for at least.",
                "memkv_journal_flush_duration_us", unit="µs"),
    graph("Shared flushes", "none", "Data writes for one flush, entries for one commit.",
          (f"sum(rate(memkv_iouring_fsync_batch_size_sum{{N}}{R})) / "
           f"sum(rate(memkv_iouring_fsync_batch_size_count{{N}}{R}))", "writes a flush"),
          (f"sum(rate(memkv_journal_entries_total{{N}}{R})) / "
           f"sum(rate(memkv_journal_commits_total{{N}}{R}))", "entries a commit")),
    graph("Checkpoints and recovery", "s", "What a checkpoint takes, and what the last start took.",
          (f"sum by (instance) (rate(memkv_checkpoint_duration_seconds_sum{{N}}{R})) / "
           f"sum by (instance) (rate(memkv_checkpoint_duration_seconds_count{{N}}{R}))",
           "checkpoint {{instance}}"),
          ("max by (instance) (memkv_recovery_duration_seconds{N})", "recovery {{instance}}")),
    graph("Directory lag", "none", "Listings wait for it; puts and gets never do.",
          ("sum by (instance, device) (memkv_directory_lag{N})", "{{instance}} {{device}}")),
    graph("Damage found and mended", "none", "Mismatches by component, repairs by kind.",
          ("sum by (component) (increase(memkv_checksum_failures_total{N}" + R + "))",
           "{{component}}"),
          ("sum by (kind) (increase(memkv_repairs_total{N}" + R + "))", "mended: {{kind}}")),
    graph("Scrub and TRIM", "none", "Blocks read again each second; trims that wait or failed.",
          (rate("memkv_scrub_slots_total", "instance"), "scrubbed {{instance}}"),
          ("sum by (instance) (memkv_trim_pending{N})", "trims waiting {{instance}}"),
          (rate("memkv_trim_errors_total", "instance"), "trims failed {{instance}}")),
]}

ROOM = {"title": "Memory and capacity", "folded": True, "panels": [
    graph("Memory tier", "bytes", "It fills, and gives way to transfers.",
          ("sum(memkv_memory_used_bytes{N})", "used"),
          ("sum(memkv_memory_total_bytes{N})", "total")),
    stack("Memory by use", "bytes", "Of the process, without its code and stacks.",
          ("sum by (kind) (memkv_memory_bytes{N})", "{{kind}}")),
    graph("Fill of drives", "percentunit", "Uneven drives of one size: keys are few or unequal.",
          ("sum by (instance, device) (memkv_device_bytes_used{N}) / "
           "sum by (instance, device) (memkv_device_capacity_usable_bytes{N})",
           "{{instance}} {{device}}")),
    stack("Blocks by state", "none", "Sums to all blocks.",
          ("sum by (state) (memkv_blocks_by_state{N})", "{{state}}")),
    graph("Payload of used bytes", "percentunit", "The rest is what slots are larger than blocks.",
          ("sum by (instance) (memkv_storage_payload_bytes{N}) / "
           "sum by (instance) (memkv_storage_used_bytes{N})", "{{instance}}")),
    graph("Blocks", "none", "The difference would be lost at a power cut.",
          ("sum(memkv_blocks_total{N})", "blocks"),
          ("sum(memkv_blocks_persisted{N})", "persisted")),
]}

SESSIONS = {"title": "Retention tiers and sessions", "folded": True, "panels": [
    stack("Blocks by tier", "none", "The lowest leaves first.",
          ("sum by (tier) (memkv_blocks_by_tier{N})", "{{tier}}")),
    stack("Evictions by tier", "ops", "output_critical should be zero.",
          (rate("memkv_evictions_total", "tier"), "{{tier}}")),
    stack("Demotions by cause", "ops", "Many by idle: clients do not end their sessions.",
          (rate("memkv_demotions_total", "cause"), "{{cause}}")),
    graph("Sessions", "none", "Tracked now.",
          ("sum by (instance) (memkv_sessions_tracked{N})", "{{instance}}")),
    percentiles("Tokens of reasoning phases", "As clients reported them.",
                "memkv_think_tokens_per_session", unit="none"),
    stack("Reasoning phases by end", "ops", "hard_cap: the budget of tokens is too small.",
          (rate("memkv_budget_force_total", "reason"), "{{reason}}")),
]}

WATCHING = {"title": "Cost of watching, process", "folded": True, "panels": [
    graph("Scrapes", "s", "Time the last scrape took to render.",
          ("max by (instance) (memkv_scrape_duration_seconds{N})", "{{instance}}")),
    graph("Dropped", "ops", "Telemetry and spans that did not get out. Requests never wait for it.",
          (f"sum(rate(memkv_telemetry_dropped_total{{N}}{R}))", "telemetry"),
          (f"sum(rate(memkv_trace_spans_dropped_total{{N}}{R}))", "spans")),
    stack("Log messages by level", "ops", "Errors without reading logs.",
          (rate("memkv_log_messages_total", "level"), "{{level}}")),
    graph("CPU", "percentunit", "Of one core is 100 %.",
          (f"sum by (instance) (rate(process_cpu_seconds_total{{N}}{R}))", "{{instance}}")),
    graph("Resident memory", "bytes", "Without huge pages.",
          ("sum by (instance) (process_resident_memory_bytes{N})", "{{instance}}")),
    graph("Descriptors", "percentunit", "Of those that may be open.",
          ("max by (instance) (process_open_fds{N} / process_max_fds{N})", "{{instance}}")),
]}

# The engine's own figures have no job or instance of ours: $engine chooses among its targets.
E = '{instance=~"$engine"}'
ENGINE = {"title": "The engine beside the store", "folded": True, "panels": [
    graph("Time to first token, and our gets", "s", "Do they rise together?",
          *[(f"histogram_quantile({q}, sum by (le) "
             f"(rate(vllm:time_to_first_token_seconds_bucket{E}{R})))", f"first token p{p}")
            for q, p in ((0.5, 50), (0.99, 99))],
          ("histogram_quantile(0.99, sum by (le) "
           f'(rate(memkv_command_duration_seconds_bucket{{N,op="get"}}{R})))', "get p99"),
          width=12),
    graph("Hit ratios", "percentunit",
          "The engine's is of tokens, ours of keys. Ours high and its low: keys are found that it "
          "does not use, or comes for too late.",
          (f"sum(rate(vllm:external_prefix_cache_hits_total{E}{R})) / "
           f"sum(rate(vllm:external_prefix_cache_queries_total{E}{R}))", "engine"),
          (f'sum(rate(memkv_lookup_keys_total{{N,result!="miss"}}{R})) / {ASKED}', "store"),
          width=12),
]}

ROWS = [GLANCE, LOAD, FIRST_TOKEN, HITS, TENANTS, WHERE, DURABLE, ROOM, SESSIONS, WATCHING, ENGINE]
