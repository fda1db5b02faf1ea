/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of metric families; see registry.h. Groups follow the contract's. */
#include "admin/figures.h"
#include "admin/registry_collect.h"
#include "admin/words.h"

/* ---- labels ---------------------------------------------------------------------------------- */

#define END                                                                                        \
    { 0 }
#define DEVICE                                                                                     \
    { "device", NULL, MKV_VOLUMES_MAX }
#define OPEN(name, values_max)                                                                     \
    { name, NULL, values_max }
#define CLOSED(name, values)                                                                       \
    { name, values, 0 }

static const char *const fabrics[] = {"tcp", NULL};
static const char *const listeners[] = {"native", NULL};
static const char *const load_failures[] = {"io_error", "checksum", "deadline", "offline", NULL};
static const char *const write_failures[] = {"no_memory", "no_space", "conflict", NULL};
static const char *const components[] = {"superblock", "journal", "index", "slot_header",
                                         "payload",    "wire",    NULL};
static const char *const repair_kinds[] = {"superblock_copy", "quarantined_slot", "torn_tail",
                                           NULL};
static const char *const eviction_causes[] = {"capacity", "quota", "class_rebalance", "expire",
                                              NULL};
static const char *const tenant_results[] = {"memory", "drive", "miss", NULL};
static const char *const directions[] = {"in", "out", NULL};
static const char *const demotion_causes[] = {"exit_think", "session_end", "idle", NULL};
static const char *const think_reasons[] = {"converged", "overthinking", "hard_cap", NULL};
static const char *const lease_outcomes[] = {"used", "expired", "overridden", "refused", NULL};
static const char *const write_caches[] = {"volatile", "none", NULL};

static const struct mkv_metric_label no_labels[] = {END};
static const struct mkv_metric_label by_method_status[] = {
    CLOSED("method", mkv_admin_ops), CLOSED("status", mkv_admin_statuses), END};
/* Without the place of what is no operation. */
static const struct mkv_metric_label by_op[] = {CLOSED("op", mkv_admin_ops + 1), END};
static const struct mkv_metric_label by_fabric[] = {CLOSED("fabric", fabrics), END};
static const struct mkv_metric_label by_fabric_listener[] = {CLOSED("fabric", fabrics),
                                                             CLOSED("listener", listeners), END};
static const struct mkv_metric_label by_op_result[] = {
    CLOSED("op", mkv_admin_lookup_ops), CLOSED("result", mkv_admin_lookup_results), END};
static const struct mkv_metric_label by_miss[] = {CLOSED("reason", mkv_admin_misses), END};
static const struct mkv_metric_label by_load_failure[] = {CLOSED("reason", load_failures), END};
static const struct mkv_metric_label by_write_failure[] = {CLOSED("reason", write_failures), END};
static const struct mkv_metric_label by_device[] = {DEVICE, END};
static const struct mkv_metric_label by_device_op[] = {DEVICE, CLOSED("op", mkv_admin_io_ops), END};
static const struct mkv_metric_label by_device_state[] = {
    DEVICE, CLOSED("state", mkv_admin_drive_states), END};
static const struct mkv_metric_label of_device[] = {DEVICE,
                                                    OPEN("path", MKV_VOLUMES_MAX),
                                                    OPEN("model", MKV_VOLUMES_MAX),
                                                    OPEN("serial", MKV_VOLUMES_MAX),
                                                    OPEN("firmware", MKV_VOLUMES_MAX),
                                                    OPEN("uuid", MKV_VOLUMES_MAX),
                                                    CLOSED("write_cache", write_caches),
                                                    END};
static const struct mkv_metric_label by_component[] = {CLOSED("component", components), END};
static const struct mkv_metric_label by_repair[] = {CLOSED("kind", repair_kinds), END};
static const struct mkv_metric_label by_tier[] = {CLOSED("tier", mkv_admin_tiers), END};
static const struct mkv_metric_label by_cause[] = {CLOSED("cause", eviction_causes), END};
static const struct mkv_metric_label by_demotion[] = {CLOSED("cause", demotion_causes), END};
static const struct mkv_metric_label by_think_reason[] = {CLOSED("reason", think_reasons), END};
static const struct mkv_metric_label by_outcome[] = {CLOSED("outcome", lease_outcomes), END};
static const struct mkv_metric_label by_tenant[] = {OPEN("tenant", MKV_ADMIN_TENANTS_TOLD + 1),
                                                    END};
static const struct mkv_metric_label by_tenant_result[] = {
    OPEN("tenant", MKV_ADMIN_TENANTS_TOLD + 1), CLOSED("result", tenant_results), END};
static const struct mkv_metric_label by_tenant_direction[] = {
    OPEN("tenant", MKV_ADMIN_TENANTS_TOLD + 1), CLOSED("direction", directions), END};
static const struct mkv_metric_label by_shard[] = {OPEN("shard", 1), END};
static const struct mkv_metric_label by_path[] = {CLOSED("path", mkv_admin_paths), END};
static const struct mkv_metric_label by_node_state[] = {CLOSED("state", mkv_admin_node_states),
                                                        END};
static const struct mkv_metric_label by_warning[] = {CLOSED("code", mkv_admin_warning_codes), END};
static const struct mkv_metric_label by_level[] = {CLOSED("level", mkv_admin_log_levels), END};
static const struct mkv_metric_label of_build[] = {OPEN("version", 1), OPEN("commit", 1), END};

/* ---- families -------------------------------------------------------------------------------- */

#define COUNTER(name, unit, labels, collect, argument, help, why, action)                          \
    { name, MKV_METRIC_COUNTER, unit, labels, mkv_collect_##collect, argument, help, why, action }
#define GAUGE(name, unit, labels, collect, argument, help, why, action)                            \
    { name, MKV_METRIC_GAUGE, unit, labels, mkv_collect_##collect, argument, help, why, action }
#define HISTOGRAM(name, unit, labels, collect, argument, help, why, action)                        \
    { name, MKV_METRIC_HISTOGRAM, unit, labels, mkv_collect_##collect, argument, help, why, action }
#define OF_TENANT(field) offsetof(struct mkv_admin_tenant, field)
#define OF_NODE(field) offsetof(struct mkv_admin_snapshot, field)
#define OF_DRIVE(field) offsetof(struct mkv_admin_drive, field)
#define OF_VOLUME(field) offsetof(struct mkv_admin_drive, volume.field)
#define OF_FIGURES(field) offsetof(struct mkv_admin_drive_figures, field)
#define OF_SLABS(field) offsetof(struct mkv_admin_slab_figures, field)
#define OF_IO(field) offsetof(struct mkv_admin_io, field)
#define OF_FABRIC(field) offsetof(struct mkv_admin_fabric, field)
#define OF_PROCESS(field) offsetof(struct mkv_admin_process, field)

const struct mkv_metric_family mkv_metric_families[] = {
    /* Requests. */
    COUNTER("memkv_allocate_total", "requests", no_labels, requests_of, MKV_OP_ALLOCATE,
            "ALLOCATE requests", "Writers that reserve before they send",
            "Far more than commits: clients reserve and do not come back"),
    COUNTER("memkv_lookup_total", "requests", no_labels, requests_of, MKV_OP_LOOKUP,
            "LOOKUP requests", "Engines ask for a prefix before they read it",
            "None at all: the engine's connector is off or asks another node"),
    COUNTER("memkv_delete_total", "requests", no_labels, requests_of, MKV_OP_DELETE,
            "DELETE requests", "Deletes are rare in a cache",
            "Many: find the client that deletes; eviction needs no help"),
    COUNTER("memkv_commit_total", "requests", no_labels, requests_of, MKV_OP_COMMIT,
            "COMMIT requests", "Reservations that were put, or given up by name",
            "None needed by itself"),
    COUNTER("memkv_read_total", "requests", no_labels, drives_sum, OF_VOLUME(gets_total),
            "Reads of a block, or a part of one, that were served from a drive",
            "The load that gets put on the drives",
            "Compare with memkv_lookup_keys_total for what gets ask for"),
    COUNTER("memkv_read_bytes_total", "bytes", no_labels, drives_sum, OF_VOLUME(read_bytes_total),
            "Payload bytes read from drives, verified and served",
            "Read bandwidth as clients get it", "Near the drives' limit: add a drive or a node"),
    COUNTER("memkv_write_total", "requests", no_labels, drives_sum, OF_VOLUME(puts_total),
            "Blocks that were handed to a drive to be written", "The load that puts put on drives",
            "Compare with memkv_write_bytes_total for the size of blocks"),
    COUNTER("memkv_write_bytes_total", "bytes", no_labels, drives_sum, OF_VOLUME(write_bytes_total),
            "Payload bytes that became durable on drives",
            "Write bandwidth, and what wears the drives",
            "Beyond the drives' rated writes a day: admit less or add drives"),
    COUNTER("memkv_exists_total", "requests", no_labels, requests_of, MKV_OP_EXISTS,
            "EXISTS requests", "Some engines ask with EXISTS in place of LOOKUP",
            "None needed by itself"),
    COUNTER("memkv_not_found_total", "responses", no_labels, items_of_status, MKV_STATUS_NOT_FOUND,
            "Items of requests that were answered NOT_FOUND", "Misses, whatever the operation",
            "Look at memkv_miss_keys_total for the reasons"),
    COUNTER("memkv_no_space_total", "responses", no_labels, items_of_status, MKV_STATUS_NO_SPACE,
            "Items of requests that were answered NO_SPACE", "Puts that the store had no room for",
            "Delete blocks, or add drives; see storage.eviction"),
    COUNTER("memkv_invalid_requests_total", "requests", no_labels, invalid_requests, 0,
            "Requests that were refused as INVALID, and frames that were none",
            "A client that speaks another version, or a scanner",
            "The log names the client and what is wrong with its frame"),
    COUNTER("memkv_requests_total", "requests", by_method_status, requests, 0,
            "Requests answered, by method and the status of the answer as a whole",
            "Which requests are refused, and why; an answer that is ok can hold items that are not",
            "busy: clients send more at once than the node is configured for"),
    GAUGE("memkv_requests_in_flight", "requests", no_labels, requests_in_flight, 0,
          "Requests being processed now", "Whether the node has work",
          "High while bandwidth is low: a drive or a client is slow"),
    COUNTER("memkv_commands_total", "requests", by_op, commands, 0,
            "Requests accepted, by operation", "The mixture of the load", "None needed by itself"),
    COUNTER("memkv_bytes_in_total", "bytes", by_fabric_listener, fabric_bytes,
            OF_FABRIC(bytes_in_total), "Payload bytes received from clients",
            "Bandwidth of puts at the network", "Near the link's limit: add a node"),
    COUNTER("memkv_bytes_out_total", "bytes", by_fabric_listener, fabric_bytes,
            OF_FABRIC(bytes_out_total), "Payload bytes sent to clients",
            "Bandwidth of gets at the network", "Near the link's limit: add a node"),
    COUNTER("memkv_lookup_keys_total", "keys", by_op_result, lookup_keys, 0,
            "Keys asked for, by operation and where they were found",
            "Numerator and denominator of every hit ratio",
            "Many misses: memkv_miss_keys_total says why"),
    COUNTER("memkv_miss_keys_total", "keys", by_miss, miss_keys, 0,
            "Keys that were not found, by reason",
            "unknown is a cold cache; deadline, io_error, checksum, drive_offline and overloaded "
            "are faults",
            "drive_offline: bring the drive back; deadline, overloaded: add drives or nodes"),
    GAUGE("memkv_leases_active", "leases", no_labels, drives_sum, OF_VOLUME(leases),
          "Blocks that are leased or pinned: they are not evicted for a while",
          "What lookups and pins hold",
          "Near a quarter of all blocks: pins are too many or too long"),
    COUNTER(
        "memkv_leases_total", "leases", by_outcome, leases, 0,
        "Leases and pins that ended after a read found the block (used), without one (expired), "
        "with the block itself (overridden), and those that were not granted (refused)",
        "Whether lookups are followed by reads",
        "refused: a quarter of the drive is held, shorten pins; expired: lookups without reads"),
    COUNTER("memkv_promise_broken_total", "events", no_labels, drives_sum,
            OF_VOLUME(promises_broken_total),
            "Reads of a leased or pinned block that found nothing",
            "A lookup said that it would be there", "Above 0: see what the drive reports"),
    /* Transport. */
    GAUGE("memkv_rdma_active", "bool", no_labels, zero, 0,
          "1 where the RDMA data path is active; this release serves over TCP only",
          "Whether clients can use RDMA", "None needed"),
    GAUGE("memkv_rdma_connections_active", "connections", no_labels, zero, 0,
          "RDMA connections; this release serves over TCP only", "Who uses RDMA", "None needed"),
    GAUGE("memkv_rdma_configured", "bool", no_labels, zero, 0,
          "1 where RDMA is configured; this release has no such setting",
          "Tells RDMA that failed from RDMA that was never meant", "None needed"),
    GAUGE("memkv_connections_active", "connections", by_fabric, fabric,
          OF_FABRIC(connections_active), "Open connections of clients",
          "Whether clients reach the node",
          "Fewer than there are clients: look at the network and at the clients' logs"),
    /* Drives. */
    GAUGE("memkv_device_slots_used", "slots", by_device, figure, OF_FIGURES(slots_used),
          "Slots of a drive that are not free", "Fill of a drive in blocks",
          "Compare with the bytes used"),
    GAUGE("memkv_device_capacity_raw_bytes", "bytes", by_device, figure, OF_FIGURES(bytes_raw),
          "Bytes of a drive that the store was formatted with", "Size of the drive",
          "None needed by itself"),
    GAUGE("memkv_device_capacity_usable_bytes", "bytes", by_device, figure,
          OF_FIGURES(bytes_usable), "Bytes of a drive for blocks: raw less metadata",
          "Denominator of the drive's fill", "None needed by itself"),
    GAUGE("memkv_device_bytes_used", "bytes", by_device, figure, OF_FIGURES(bytes_used),
          "Bytes of the slots of a drive that are not free", "Fill of a drive",
          "Uneven between drives of one size: the keys are few or very unequal"),
    GAUGE("memkv_storage_raw_bytes", "bytes", no_labels, figures_sum, OF_FIGURES(bytes_raw),
          "Sum of the drives' raw bytes", "Size of the store", "None needed by itself"),
    GAUGE("memkv_storage_usable_bytes", "bytes", no_labels, figures_sum, OF_FIGURES(bytes_usable),
          "Sum of the drives' usable bytes", "Denominator of the store's fill",
          "None needed by itself"),
    GAUGE("memkv_storage_used_bytes", "bytes", no_labels, figures_sum, OF_FIGURES(bytes_used),
          "Sum of the drives' used bytes", "Fill of the store",
          "Near the usable bytes: puts will be answered no_space; add drives or delete"),
    COUNTER("memkv_trim_extents_total", "extents", by_device, drive, OF_VOLUME(trim_extents_total),
            "Extents that a drive was told to forget", "Whether room that holds nothing is trimmed",
            "None while blocks are deleted or evicted: see storage.trim"),
    COUNTER("memkv_trim_bytes_total", "bytes", by_device, drive, OF_VOLUME(trim_bytes_total),
            "Bytes that a drive has forgotten", "What trims spare the drive", "None needed"),
    COUNTER("memkv_trim_errors_total", "errors", by_device, drive, OF_VOLUME(trim_errors_total),
            "Trims that failed; nothing is lost by one", "A drive that claims what it cannot do",
            "Growing: look at the kernel's log, or set storage.trim: off"),
    GAUGE("memkv_trim_pending", "requests", no_labels, drives_sum, OF_VOLUME(trims_pending),
          "Trims that are in flight or wait for their turn", "Whether drives keep up with trims",
          "High for long: a drive trims slowly; set storage.trim: off if gets suffer"),
    GAUGE("memkv_device_online", "bool", by_device, device_online, 0, "1 where a drive serves",
          "A drive that is gone turns its keys into misses",
          "0: memkv_device_state and the warnings of memkv admin status say why"),
    COUNTER("memkv_device_io_errors_total", "errors", by_device_op, io, OF_IO(errors),
            "Operations of a drive that failed", "A drive that is about to die",
            "Growing: look at the kernel's log, then replace the drive"),
    COUNTER("memkv_device_io_bytes_total", "bytes", by_device_op, io, OF_IO(bytes),
            "Bytes moved by a drive, metadata too", "Bandwidth of each drive",
            "Compare drives: one that lags holds the others back"),
    GAUGE("memkv_device_io_in_flight", "operations", by_device_op, io, OF_IO(in_flight),
          "Operations of a drive in flight", "Depth of each drive's queue",
          "High on one drive alone: that drive is slow"),
    GAUGE("memkv_device_state", "bool", by_device_state, device_state, 0,
          "1 for the state a drive is in", "Why a drive does not serve",
          "failed: replace it; offline: the log of the start says why; recovering: wait"),
    GAUGE("memkv_device_info", "info", of_device, device_info, 0, "Always 1",
          "Joins a drive's name to its model, serial number and path", "None needed"),
    COUNTER(
        "memkv_checksum_failures_total", "events", by_component, checksum_failures, 0,
        "Checksum mismatches that were found",
        "Corruption that was caught before it reached a client",
        "payload, slot_header: check the drive; wire: check the network and the client's build"),
    COUNTER("memkv_repairs_total", "events", by_repair, repairs, 0, "Repairs made",
            "What the store mended by itself; torn_tail is usual after a crash",
            "superblock_copy, quarantined_slot again and again: replace the drive"),
    COUNTER("memkv_scrub_slots_total", "slots", by_device, drive, OF_VOLUME(scrub_slots_total),
            "Blocks that the scrubber has read and compared",
            "Whether old blocks are still checked", "Not growing: see storage.scrub_rate"),
    GAUGE("memkv_scrub_progress_ratio", "ratio", by_device, scrub_progress, 0,
          "How far the scrubber's pass over a drive has come", "How long a whole check takes",
          "A pass takes too long: raise storage.scrub_rate"),
    /* Memory and blocks. */
    GAUGE("memkv_blocks_total", "blocks", no_labels, blocks, true,
          "Blocks in the index (a gauge in spite of its suffix)", "How much the store holds",
          "None needed by itself"),
    GAUGE("memkv_blocks_persisted", "blocks", no_labels, blocks, false,
          "Blocks persisted to a drive",
          "The rest of memkv_blocks_total are relaxed puts, and would be lost at a power cut",
          "Far fewer for long: a drive is slow to write"),
    GAUGE("memkv_slabs_allocated", "slabs", no_labels, slab_figure, OF_SLABS(slabs_allocated),
          "Memory slabs that hold blocks or transfers, in units of memory.block_size",
          "Whether the memory tier is warm; it fills, and gives way to transfers", "None needed"),
    GAUGE("memkv_slabs_total", "slabs", no_labels, slab_figure, OF_SLABS(slabs_total),
          "Memory slabs in all, in units of memory.block_size", "Denominator of slabs in use",
          "Raise memory.max_size for more"),
    GAUGE("memkv_memory_used_bytes", "bytes", no_labels, slab_figure, OF_SLABS(bytes_used),
          "Memory of the slabs that hold blocks or transfers",
          "Whether the memory tier is warm; it fills, and gives way to transfers", "None needed"),
    GAUGE("memkv_memory_total_bytes", "bytes", no_labels, slab_figure, OF_SLABS(bytes_total),
          "Memory of all slabs", "Denominator of memory in use", "Raise memory.max_size for more"),
    GAUGE("memkv_uptime_seconds", "seconds", no_labels, uptime, 0,
          "Seconds since the process started", "Restarts show as a drop",
          "Dropped unasked: the log before the start says why"),
    GAUGE("memkv_block_capacity_bytes", "bytes", no_labels, figures_sum, OF_FIGURES(bytes_usable),
          "Bytes that blocks can take", "Denominator of used bytes", "None needed by itself"),
    /* The memory tier. */
    COUNTER("memkv_l1_read_requests_total", "requests", no_labels, memory_tier_requests, 0,
            "GET, EXISTS and LOOKUP requests: each looks into the memory tier",
            "The load of reads, before memory takes its part", "None needed by itself"),
    COUNTER("memkv_l1_read_hit_keys_total", "keys", no_labels, memory_tier_lookups, true,
            "Keys found in the memory tier", "Numerator of the memory tier's hit ratio",
            "Falling: the working set outgrew memory; raise memory.max_size"),
    COUNTER("memkv_l1_read_miss_keys_total", "keys", no_labels, memory_tier_lookups, false,
            "Keys not found in the memory tier", "What goes on to the drives",
            "None needed by itself"),
    COUNTER("memkv_l1_write_requests_total", "requests", no_labels, memory_tier_writes, 0,
            "PUT and ALLOCATE requests: each takes memory for its values first",
            "The load of writes", "None needed by itself"),
    COUNTER("memkv_l1_write_reserved_keys_total", "keys", no_labels, memory_tier_reserved, 0,
            "Keys of PUT and ALLOCATE that had memory and a slot for their value",
            "What is left of the load of writes behind what is there already or refused",
            "None needed by itself"),
    COUNTER(
        "memkv_l1_write_failed_keys_total", "keys", by_write_failure, memory_tier_refused, 0,
        "Keys of PUT and ALLOCATE that had no memory in time, no room on a drive or in a quota, "
        "or hold other content",
        "Writes that could not begin",
        "no_memory: raise memory.max_size; no_space: add drives or raise the quota"),
    COUNTER("memkv_l1_read_keys_total", "keys", no_labels, memory_tier_read, 0,
            "Keys that gets read from the memory tier", "Gets that cost no drive anything",
            "None needed by itself"),
    COUNTER("memkv_l1_written_keys_total", "keys", no_labels, memory_tier_written, 0,
            "Blocks that stayed in the memory tier behind a put or a read",
            "How fast the memory tier turns over", "None needed by itself"),
    COUNTER("memkv_l1_evicted_keys_total", "keys", no_labels, memory_tier_evicted, 0,
            "Blocks that made room in the memory tier", "Pressure on memory",
            "As many as are written while hits are few: raise memory.max_size"),
    /* The drive tier. */
    COUNTER("memkv_l2_lookup_keys_total", "keys", no_labels, drive_tier_lookups, false,
            "Keys looked up in the drive tier", "Denominator of the drive tier's hit ratio",
            "None needed by itself"),
    COUNTER("memkv_l2_hit_keys_total", "keys", no_labels, drive_tier_lookups, true,
            "Keys found in the drive tier", "Numerator of the drive tier's hit ratio",
            "Falling: the working set outgrew the store, or keys changed"),
    COUNTER("memkv_l2_loaded_keys_total", "keys", no_labels, drive_tier_loaded, 0,
            "Keys loaded from a drive", "Gets that were served", "None needed by itself"),
    COUNTER("memkv_l2_stored_keys_total", "keys", no_labels, drives_sum, OF_VOLUME(puts_total),
            "Keys stored to a drive", "Puts that needed a write", "None needed by itself"),
    COUNTER("memkv_l2_load_failures_total", "keys", by_load_failure, drive_tier_failures, 0,
            "Gets that failed at the drive tier, by reason", "Faults behind misses",
            "io_error, checksum: check the drive; offline: bring it back"),
    COUNTER("memkv_l2_evicted_keys_total", "keys", no_labels, drives_sum,
            OF_VOLUME(evictions_total), "Keys evicted from the drive tier",
            "How fast the store turns over", "Many misses with reason evicted: add drives"),
    HISTOGRAM("memkv_block_lifetime_seconds", "seconds", no_labels, evicted_seconds, true,
              "Age of a block when it is evicted, of a sample by the key's hash",
              "For how long the store keeps what it is given",
              "Below an hour with many misses of reason evicted: add drives"),
    HISTOGRAM("memkv_block_idle_before_evict_seconds", "seconds", no_labels, evicted_seconds, false,
              "Time since the last access when a block is evicted, of the same sample",
              "Whether what leaves was still in use", "Seconds or minutes: add drives"),
    /* Retention tiers, sessions and tenants. */
    COUNTER("memkv_evictions_total", "blocks", by_tier, evictions_by_tier, 0,
            "Blocks evicted, by retention tier; without hints all are unhinted",
            "What makes room for what", "Many misses with reason evicted: add drives"),
    COUNTER("memkv_evictions_by_cause_total", "blocks", by_cause, evictions_by_cause, 0,
            "Blocks dropped, by cause: for room among blocks of their size or for other sizes, or "
            "because their time was over",
            "Why blocks leave",
            "class_rebalance for long: the sizes of blocks change; a full cache does the rest"),
    COUNTER("memkv_output_critical_evictions_total", "blocks", no_labels, critical_evictions, 0,
            "Evicted blocks of the highest retention tier", "Zero is the target",
            "Above 0: hint less as output_critical, end sessions earlier, or add drives"),
    GAUGE("memkv_blocks_by_tier", "blocks", by_tier, blocks_by_tier, 0,
          "Blocks by retention tier; without hints all are unhinted", "What would be evicted first",
          "None needed by itself"),
    COUNTER("memkv_demotions_total", "blocks", by_demotion, demotions, 0,
            "Blocks moved to a lower retention tier, by what their session did",
            "Whether clients tell when a reasoning phase or a session is over",
            "Many by idle: clients do not end their sessions"),
    GAUGE("memkv_sessions_tracked", "sessions", no_labels, sessions_tracked, 0,
          "Sessions that the drive with the most of them has in mind",
          "Grows for ever only if clients use each session all the time",
          "Near storage.sessions_max: raise it, or shorten storage.session_idle"),
    HISTOGRAM("memkv_think_tokens_per_session", "tokens", no_labels, think_tokens, 0,
              "Tokens of reasoning phases, as clients reported them",
              "How long models think before they answer", "None needed by itself"),
    COUNTER("memkv_budget_force_total", "events", by_think_reason, think_exits, 0,
            "Reasoning phases that were over, by the reason that clients gave",
            "hard_cap: budgets that are too small",
            "Many by hard_cap: raise the budget of tokens, or look at the prompts"),
    GAUGE("memkv_active_tenants", "tenants", no_labels, active_tenants, 0,
          "Tenants with at least one block", "Who uses the store", "None needed by itself"),
    GAUGE("memkv_tenant_blocks", "blocks", by_tenant, of_tenants, OF_TENANT(blocks),
          "Blocks of a tenant", "Who uses the store", "None needed by itself"),
    GAUGE("memkv_tenant_bytes", "bytes", by_tenant, of_tenants, OF_TENANT(bytes),
          "Bytes of the slots that a tenant takes", "Who fills the store",
          "Give a quota to who takes too much"),
    COUNTER("memkv_tenant_writes_total", "blocks", by_tenant, of_tenants, OF_TENANT(writes_total),
            "Blocks written for a tenant since the start", "Who writes", "None needed by itself"),
    COUNTER("memkv_tenant_lookup_keys_total", "keys", by_tenant_result, tenant_asked, false,
            "Keys that clients of a tenant asked for, by result", "The hit ratio of a tenant",
            "Many misses: raise its quota, or see what it stores"),
    COUNTER("memkv_tenant_bytes_total", "bytes", by_tenant_direction, tenant_asked, true,
            "Payload bytes moved for a tenant", "Who uses the network", "None needed by itself"),
    COUNTER("memkv_tenant_evicted_blocks_total", "blocks", by_tenant, of_tenants,
            OF_TENANT(evicted_total), "Blocks that a tenant lost to eviction",
            "Whose blocks do not stay", "Many: raise its quota, or add drives"),
    COUNTER("memkv_tenant_evictions_caused_total", "blocks", by_tenant, of_tenants,
            OF_TENANT(evictions_caused_total),
            "Blocks evicted because a tenant needed room, its own or others'",
            "Who drives others' blocks out", "Give a quota to who takes too much"),
    GAUGE("memkv_tenant_quota_bytes", "bytes", by_tenant, tenant_quotas, 0,
          "Bytes of slots that a tenant may take", "How near a tenant is to its quota",
          "Raise it in tenants.quotas, or drop what is not needed"),
    COUNTER("memkv_tenant_quota_rejections_total", "requests", by_tenant, of_tenants,
            OF_TENANT(quota_rejections_total),
            "Puts refused because the quota of their tenant is used up",
            "A client whose values are not kept",
            "Raise the quota in tenants.quotas, or delete keys of the tenant"),
    /* The journal. */
    GAUGE("memkv_journal_pending_entries", "entries", no_labels, drives_sum,
          OF_VOLUME(journal_pending_records), "Journal entries that are not durable yet",
          "Puts and deletes that wait for a flush", "High: a drive flushes slowly"),
    COUNTER("memkv_journal_entries_total", "entries", by_device, drive,
            OF_VOLUME(journal_records_total), "Journal entries written", "Rate of changes",
            "None needed by itself"),
    COUNTER("memkv_journal_bytes_total", "bytes", by_device, journal_bytes,
            OF_VOLUME(journal_blocks_total), "Journal bytes written, one copy counted",
            "What the journal costs", "None needed by itself"),
    GAUGE("memkv_journal_size_bytes", "bytes", by_device, journal_size, 0,
          "Bytes of the journal ring in use", "How far the ring is full",
          "Near memkv_journal_capacity_bytes: puts wait for a checkpoint; the drive is slow"),
    GAUGE("memkv_journal_capacity_bytes", "bytes", by_device, journal_bytes,
          OF_VOLUME(journal_ring_blocks), "Size of the journal ring",
          "Denominator of the ring's fill", "None needed by itself"),
    COUNTER("memkv_journal_commits_total", "commits", by_device, drive,
            OF_VOLUME(journal_commits_total), "Group commits",
            "Entries for each commit: how well flushes are shared", "None needed by itself"),
    GAUGE("memkv_journal_head", "position", by_device, drive, OF_VOLUME(journal_head),
          "Last journal position written", "Progress of the journal",
          "Still while puts wait: the drive hangs"),
    GAUGE("memkv_journal_applied", "position", by_device, drive, OF_VOLUME(journal_applied),
          "Last journal position covered by the durable checkpoint", "Progress of checkpoints",
          "Still while the head grows: no checkpoint completes"),
    GAUGE("memkv_journal_lag", "entries", by_device, journal_lag, 0,
          "Journal positions that the durable checkpoint does not cover",
          "What a restart has to replay", "Only growing: no checkpoint completes"),
    GAUGE("memkv_directory_applied", "position", by_device, drive,
          OF_VOLUME(directory.applied_sequence),
          "Last journal position whose keys are in the directory", "Progress of the directory",
          "Still while the head grows: the log says whether it is made anew, full or off"),
    GAUGE("memkv_directory_lag", "entries", by_device, drive, OF_VOLUME(directory_lag),
          "Durable journal positions that are not in the directory yet",
          "A listing waits until this is over; puts and gets never do",
          "Only growing: the drive has no time for the directory, or its region is full"),
    GAUGE("memkv_store_epoch", "epoch", by_device, epoch, 0, "Times the store has been opened",
          "Restarts of the store, across processes", "Growing by itself: the daemon restarts"),
    COUNTER("memkv_checkpoints_total", "checkpoints", by_device, drive,
            OF_VOLUME(checkpoints_total), "Checkpoints completed", "How often the ring turns",
            "None needed by itself"),
    GAUGE("memkv_recovery_duration_seconds", "seconds", by_device, recovery_duration, 0,
          "Time of the last recovery", "How long a restart takes", "None needed by itself"),
    GAUGE("memkv_recovery_replayed_entries", "entries", by_device, drive,
          OF_VOLUME(recovery_entries), "Journal entries replayed by the last recovery",
          "What the last restart had to replay", "None needed by itself"),
    GAUGE("memkv_dirty_queue_depth", "entries", no_labels, unpersisted, 0,
          "Relaxed puts that were answered and are not durable yet",
          "What a power cut would take now", "High for long: a drive is slow to write"),
    /* The directory of keys. */
    COUNTER("memkv_btree_cache_hits_total", "lookups", no_labels, drives_sum,
            OF_VOLUME(directory.leaf_hits_total), "Leaves of the directory found in memory",
            "How well the directory's cache does", "None needed by itself"),
    COUNTER("memkv_btree_cache_misses_total", "lookups", no_labels, drives_sum,
            OF_VOLUME(directory.leaf_misses_total),
            "Leaves of the directory that had to be read from a drive",
            "Reads that the directory costs beside the clients'",
            "Many beside few hits: keys come in no order, which is common and harmless"),
    HISTOGRAM("memkv_btree_leaf_miss_us", "microseconds", no_labels, leaf_miss, 0,
              "Time from the wish for a leaf of the directory until it was there",
              "What a listing waits for", "Long: the drive is busy, or slow"),
    /* Shards. */
    COUNTER("memkv_shard_commands_total", "requests", by_shard, shard_commands, 0,
            "Requests accepted, by shard", "Balance between shards", "None needed by itself"),
    GAUGE("memkv_shard_blocks", "blocks", by_shard, shard_blocks, 0, "Blocks by shard",
          "Balance between shards", "None needed by itself"),
    /* Admin, logs and the process. */
    COUNTER("memkv_admin_requests_total", "requests", by_path, admin_requests, 0,
            "Requests to the admin listener, by path; paths that there are not count as other",
            "Who watches, and how often", "Many of other: a probe asks for a wrong path"),
    GAUGE("memkv_node_state", "bool", by_node_state, node_state, 0,
          "1 for the state the node is in", "What health and ready answer from",
          "degraded, unhealthy: see memkv admin status for the drives and warnings"),
    GAUGE("memkv_warning", "bool", by_warning, warning, 0, "1 for each warning that is active",
          "What the node itself finds worth a look",
          "memkv admin status shows the message and what to do"),
    COUNTER("memkv_log_messages_total", "messages", by_level, log_messages, 0,
            "Log messages, by level", "Errors without reading logs", "error growing: read the log"),
    GAUGE("memkv_scrape_duration_seconds", "seconds", no_labels, scrape_duration, 0,
          "Time the last scrape took to render", "What watching costs",
          "Above 5 ms: scrape less often"),
    GAUGE("memkv_build_info", "info", of_build, build_info, 0, "Always 1",
          "Which version runs where", "None needed"),
    COUNTER("process_cpu_seconds_total", "seconds", no_labels, process_s, OF_PROCESS(cpu_s),
            "User and system CPU time of the process", "CPU that the node takes",
            "None needed by itself"),
    GAUGE("process_resident_memory_bytes", "bytes", no_labels, process, OF_PROCESS(resident_bytes),
          "Resident memory of the process, without huge pages", "Memory that the node takes",
          "Growing without end: report it; memory is bounded by the configuration"),
    GAUGE("process_virtual_memory_bytes", "bytes", no_labels, process, OF_PROCESS(virtual_bytes),
          "Virtual memory of the process", "Address space of the node", "None needed by itself"),
    GAUGE("process_open_fds", "descriptors", no_labels, process, OF_PROCESS(open_fds),
          "File descriptors that are open", "Connections and drives in the kernel's eyes",
          "Near process_max_fds: raise LimitNOFILE"),
    GAUGE("process_max_fds", "descriptors", no_labels, process, OF_PROCESS(max_fds),
          "Most file descriptors that may be open", "Limit of process_open_fds",
          "Raise LimitNOFILE for more"),
    GAUGE("process_start_time_seconds", "seconds", no_labels, process_s, OF_PROCESS(start_time_s),
          "When the process started, in Unix time", "Restarts show as a step", "None needed"),
};

const size_t mkv_metric_family_count = sizeof mkv_metric_families / sizeof mkv_metric_families[0];
