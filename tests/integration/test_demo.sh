#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The demonstration does what it says, leaves nothing behind, and fails loudly when it cannot.
set -euo pipefail

source_dir=${MKV_SOURCE_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
demo=$source_dir/tests/integration/demo.sh
export MKV_BUILD_DIR=${MKV_BUILD_DIR:-$source_dir/build}
# A program is started for each file, twice: all files of the tree are for the long suite.
files=$source_dir/core
[ "${MKV_LONG:-}" != 1 ] || files=$source_dir
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

fail() {
    echo "test_demo: $*" >&2
    exit 1
}

nothing_is_left() {
    [ -z "$(ls -A "$TMPDIR")" ] || fail "it leaves files behind: $(ls -A "$TMPDIR")"
}

# ---- all is well ---------------------------------------------------------------------------------

output=$(MKV_SOURCE_DIR=$files "$demo" 2>&1) || fail "it failed:
$output"
for line in 'files in .*: all identical' '64 MiB of random bytes in .*: identical' \
    'restarted: recovered' 'health: ' 'store.memkv' 'done, all is as it was'; do
    grep -q "$line" <<<"$output" || fail "it does not say '$line':
$output"
done
nothing_is_left

# ---- the program is not there --------------------------------------------------------------------

if output=$(MKV_BUILD_DIR=$TMPDIR "$demo" 2>&1); then
    fail "it succeeds without a program"
fi
grep -q 'memkv is not there; run: ./dev build' <<<"$output" || fail "it does not say why: $output"
nothing_is_left

# ---- a wrong byte --------------------------------------------------------------------------------

# A program that is memkv, but changes what it fetches.
real=$MKV_BUILD_DIR/memkv
bad=$TMPDIR/bad
mkdir "$bad"
cat >"$bad/memkv" <<TEXT
#!/usr/bin/env bash
if [ "\$1" = get ]; then
    "$real" "\$@" || exit
    printf 'x' >>"\$3"
else
    exec "$real" "\$@"
fi
TEXT
chmod +x "$bad/memkv"
if output=$(MKV_SOURCE_DIR=$source_dir/docs MKV_BUILD_DIR=$bad "$demo" 2>&1); then
    fail "it does not see a wrong byte"
fi
grep -q 'demo: failed: .* came back different' <<<"$output" || fail "it does not say why: $output"
rm -r "$bad"
nothing_is_left
