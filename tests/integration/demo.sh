#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# memkv from begin to end on this machine: starts a node on a store of its own, stores real files
# (the sources of this tree and 64 MiB of random bytes), restarts the node, fetches everything,
# compares, and shows what the node says of itself. `./dev run --demo` builds first and runs this.
#
# Exit status: 0 all as it should be, 1 not, and the last lines say what. Nothing is left behind.
set -euo pipefail

source_dir=${MKV_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
memkv=${MKV_BUILD_DIR:-$source_dir/build}/memkv

BIG_FILE_MIB=64
FILES_MIN=20
READY_S_MAX=60
STOP_S_MAX=60
# Pairs of ports that are tried: clients, and the admin listener at the next one.
PORT_FIRST=20200
PORT_TRIES_MAX=200
EXIT_UNAVAILABLE=69

work=
node=
port=

say() {
    printf '%s\n' "demo: $*"
}

fail() {
    printf '%s\n' "demo: failed: $*" >&2
    if [ -n "$work" ] && [ -s "$work/node.log" ]; then
        echo "demo: the last lines of the node:" >&2
        tail -n 20 "$work/node.log" >&2
    fi
    exit 1
}

clean_up() {
    local status=$?
    trap - EXIT
    if [ -n "$node" ] && kill -0 "$node" 2>/dev/null; then
        kill -KILL "$node"
        wait "$node" 2>/dev/null || true
    fi
    [ -z "$work" ] || rm -rf "$work"
    exit "$status"
}

# Seconds with tenths since $1, which is in nanoseconds.
since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

node_is_ready() {
    grep -q 'ready in ' "$work/node.log"
}

# Waits until the node is ready (0) or has ended; then its exit status is what this returns.
wait_until_ready() {
    local deadline=$((SECONDS + READY_S_MAX))
    until node_is_ready; do
        if ! kill -0 "$node" 2>/dev/null; then
            local status=0
            wait "$node" || status=$?
            node=
            return "$status"
        fi
        [ "$SECONDS" -lt "$deadline" ] || fail "the node is not ready in $READY_S_MAX s"
        sleep 0.05
    done
}

launch() {
    : >"$work/node.log" # so that what the last node said is not taken for this one's
    "$memkv" start --dev "$work/store" --listen "127.0.0.1:$port" \
        </dev/null >"$work/node.log" 2>&1 &
    node=$!
}

# The first time on the first ports that are free, then on the same.
start_node() {
    local tries status
    if [ -n "$port" ]; then
        launch
        wait_until_ready || fail "the node does not start again; it exited with $?"
        return
    fi
    for ((tries = 0; tries < PORT_TRIES_MAX; tries++)); do
        port=$((PORT_FIRST + 2 * tries))
        launch
        status=0
        wait_until_ready || status=$?
        if [ "$status" -eq 0 ]; then
            export MEMKV_SERVERS=127.0.0.1:$port
            return
        fi
        if [ "$status" -ne "$EXIT_UNAVAILABLE" ] || ! grep -q 'in use' "$work/node.log"; then
            fail "the node does not start; it exited with $status"
        fi
    done
    fail "no free ports between $PORT_FIRST and $port"
}

stop_node() {
    local deadline=$((SECONDS + STOP_S_MAX)) status=0
    kill -TERM "$node"
    while kill -0 "$node" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the node does not stop in $STOP_S_MAX s"
        sleep 0.05
    done
    wait "$node" || status=$?
    node=
    [ "$status" -eq 0 ] || fail "the node exited with $status after SIGTERM"
}

# The files of the tree, without what was built or is hidden.
list_files() {
    (cd "$source_dir" &&
        find . -mindepth 1 \( -name '.git' -o -name 'build*' -type d -o -name 'memkv-data' \
            -o -name '__pycache__' \) -prune -o -type f -print) | sed 's|^\./||' | LC_ALL=C sort
}

store_all() {
    local file count=0 began
    began=$(date +%s%N)
    while IFS= read -r file; do
        "$memkv" put "sources/$file" "$source_dir/$file" </dev/null ||
            fail "$file could not be stored"
        count=$((count + 1))
    done <"$work/files"
    [ "$count" -ge "$FILES_MIN" ] || fail "only $count files were found in $source_dir"
    say "stored $count files of $source_dir in $(since "$began")"

    began=$(date +%s%N)
    head -c "$((BIG_FILE_MIB * 1024 * 1024))" /dev/urandom >"$work/random"
    "$memkv" put random "$work/random" </dev/null || fail "the random bytes could not be stored"
    say "stored $BIG_FILE_MIB MiB of random bytes in $(since "$began")"
}

fetch_all() {
    local file count=0 began
    began=$(date +%s%N)
    while IFS= read -r file; do
        "$memkv" get "sources/$file" "$work/fetched" </dev/null || fail "$file could not be fetched"
        cmp "$source_dir/$file" "$work/fetched" || fail "$file came back different"
        rm -f "$work/fetched"
        count=$((count + 1))
    done <"$work/files"
    say "fetched $count files in $(since "$began"): all identical"

    began=$(date +%s%N)
    "$memkv" get random "$work/fetched" </dev/null || fail "the random bytes could not be fetched"
    cmp "$work/random" "$work/fetched" || fail "the random bytes came back different"
    rm -f "$work/fetched"
    say "fetched $BIG_FILE_MIB MiB of random bytes in $(since "$began"): identical"
}

show() {
    local health url
    url=http://127.0.0.1:$((port + 1))/v1/health
    health=$(curl --silent --show-error --fail --max-time 10 "$url") ||
        fail "the node is not healthy: $health"
    say "health: $health"
    say "status:"
    "$memkv" admin status --socket "$work/store/admin.sock" ||
        fail "the node does not show its status"
}

[ $# -eq 0 ] || fail "it takes no arguments"
[ -x "$memkv" ] || fail "$memkv is not there; run: ./dev build"
# Variables that would configure the node or the clients.
for name in ${!MEMKV_@}; do
    unset "$name"
done
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d "${TMPDIR:-/tmp}/memkv-demo-XXXXXX")
# Files that change or come while this runs would not be the node's fault: what is stored is a copy.
mkdir "$work/sources"
list_files >"$work/files"
tar -C "$source_dir" --verbatim-files-from -T "$work/files" -cf - | tar -C "$work/sources" -xf -
say "sources copied to $work"
source_dir=$work/sources

start_node
say "the node listens on 127.0.0.1:$port, its store is in $work/store"
store_all
stop_node
start_node
say "restarted: $(grep -o 'recovered .* s' "$work/node.log" | head -n 1)"
fetch_all
show
stop_node
say "done, all is as it was"
