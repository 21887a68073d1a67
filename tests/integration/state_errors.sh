#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: what `run` and `inspect` say of a state folder that another release wrote, that is torn, in use, of a
# full disk, or whose map may not grow: one clear sentence and exit 1; and that the state can be opened again,
# with every event counted once.
#
# usage: state_errors.sh BUILD_DIR
# The full disk is a small tmpfs: without the right to mount one that part is skipped, and says so.
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

disk=$work/disk mounted=
mkdir "$disk"
unmount() { [ -z "$mounted" ] || umount "$disk"; end; }
trap unmount EXIT
cat > "$work/worker.yaml" << Y
app: errors
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/state, wait: 2s, gather_ms: 100ms}
users: {memory: 16MiB}
items: {max: 5000}
dedup: {events_max: 100000}
Y
settings=(--config "$work/worker.yaml")
"$tool" "$brokers" make clicks 4
"$millrace" check "${settings[@]}" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
sent=0
send() { "$tool" "$brokers" clicks clicks "$1" 3000 2000 0 > /dev/null; sent=$1; }
run() { # NAME OPTION...
  local name=$1
  shift
  timeout 120 "$millrace" run "${settings[@]}" --stop-at-end "$@" 2> "$work/$name.log" || broken "run: $name"
  read -r all learned _ <<< "$(counted "$work/$name.log")"
  echo "$name: learned=$learned"
  [ "$learned" = "$sent" ] || broken "$name: learned $learned, want $sent"
}
fails() { # NAME TEXT OPTION...
  local name=$1 text=$2
  shift 2
  expect_fail "$name" "$text" "$millrace" run "${settings[@]}" --stop-at-end "$@"
  echo "$name: $(sed -n 's/.*\(error=.*\)/\1/p' "$work/$name.log" | tail -1)"
}
send 4000
run good
cp -r "$work/state" "$work/kept"
restore() { rm -rf "$work/state" && cp -r "$work/kept" "$work/state"; }
# Another process has it.
"$millrace" run "${settings[@]}" 2> "$work/first.log" &
worker=$!
timeout 60 tail -n +1 -f --pid "$worker" "$work/first.log" | grep -m 1 -q ' rebalance: ready' || true
fails "in use" "in use"
"$millrace" inspect "$work/state" summary > "$work/inspect.log" 2>&1 || broken "inspect beside a worker: $(cat "$work/inspect.log")"
kill -TERM "$worker" && wait "$worker" || broken "the first worker"
worker=

# No state, no folder, another release's, torn, cut.
expect_fail "inspect nothing" "no state" "$millrace" inspect "$work/nowhere" summary
printf 'not a database, but as long as a page of one%4096s' ' ' > "$work/state/data.mdb"
fails "not ours" "$work/state"
expect_fail "inspect what is not ours" "$work/state" "$millrace" inspect "$work/state" summary
restore
truncate -s 12288 "$work/state/data.mdb"
fails "cut" "$work/state"
expect_fail "inspect a cut file" "$work/state" "$millrace" inspect "$work/state" summary
restore
patch() { # PATTERN BYTES AT: in every place where the pattern stands in the data file
  python3 - "$work/state/data.mdb" "$@" << 'P'
import re, sys
path, pattern, new, at = sys.argv[1], *(a.encode().decode("unicode_escape").encode("latin1") for a in sys.argv[2:4]), int(sys.argv[4])
data = bytearray(open(path, "rb").read())
places = [m.start() for m in re.finditer(re.escape(pattern), data)]
assert places, "the pattern is not there"
for place in places:
    data[place + at:place + at + len(new)] = new
open(path, "wb").write(data)
P
}
patch 'millrace\x01\0\0\0' '\x63' 8
fails "another format" "has format 99, this release reads"
expect_fail "inspect another format" "has format 99" "$millrace" inspect "$work/state" summary
restore

# A row that is torn: found by verify; the start drops the copy and restores it from the changelog.
patch 'uuser-17\xa1' '\x5a\x5a\x5a\x5a' 30
expect_fail "verify a torn row" "user-17" "$millrace" inspect "$work/state" verify
echo "verify a torn row: $(grep -m 1 user-17 "$work/verify a torn row.log" | cut -c 1-150)"
run "torn"
grep -q 'restored.*base=changelog' "$work/torn.log" || broken "a torn row was not found"
restore
run "again after all of these"

# The map may not grow.
send 60000
fails "a map that cannot grow" "state.map_bytes_max" --set state.map_bytes_max=16MiB
"$millrace" inspect "$work/state" hash > "$work/inspect.log" 2>&1 || broken "inspect after it: $(cat "$work/inspect.log")"
run "with room"

# A full disk.
if mount -t tmpfs -o size=9m tmpfs "$disk" 2> /dev/null; then
  mounted=yes
  fails "a full disk" "disk" --set "state.path=$disk/state"
  "$millrace" inspect "$disk/state" summary > "$work/inspect.log" 2>&1 || true
  mount -o remount,size=200m "$disk"
  run "the disk has room again" --set "state.path=$disk/state"
  "$millrace" inspect "$disk/state" verify > "$work/inspect.log" 2>&1 || broken "verify: $(cat "$work/inspect.log")"
else
  echo "no right to mount a tmpfs: the full disk is skipped"
fi
echo "ok"
