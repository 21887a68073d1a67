#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: what two workers did, one of them killed by SIGKILL while it worked and brought back, is run
# again from the epoch log: every commit leads to the same state hashes, lists and deltas, byte for byte;
# from the beginning, and from a backup.
# Under another configuration nothing is run.
#
# usage: replay_of_epochs.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

cat > "$work/worker.yaml" << Y
app: again
kafka: {bootstrap_servers: "$brokers", transaction_timeout: 40s} # a broker may stall on a small machine
topics:
  clicks: {kind: click}
users: {memory: 16MiB}
items: {max: 20000}
dedup: {events_max: 20000}
commit: {events_max: 4000}
metrics: {interval: 1s}
lanes: 1
Y
"$tool" "$brokers" make clicks 4
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
sent=60000
"$tool" "$brokers" clicks clicks $sent 1000 2000 1200 500 > "$work/sent.log" &
sender=$!

workers=()
run() { # NAME LOG: a worker with that name, which ends with the test
  "$millrace" run --config "$work/worker.yaml" --set instance="$1" --set state.path="$work/$1" 2> "$work/$2.log" &
  worker=$!
  workers+=($worker)
}
stop_all() {
  for pid in "${workers[@]}"; do kill -9 "$pid" 2> /dev/null || true; done
  end
}
trap stop_all EXIT

run one one
first=$worker
until_line "$work/one.log" ' window records=[1-9][0-9]* commits=[1-9]'
for ((i = 0; ; i++)); do # until the local copy has it
  "$millrace" backup --config "$work/worker.yaml" --set state.path="$work/one" --out "$work/backup" > "$work/backup.log" 2>&1 && break
  [ $i -lt 60 ] || broken "backup: $(cat "$work/backup.log")"
  sleep 0.5
done
run two two
second=$worker
until_line "$work/two.log" ' window records=[1-9][0-9]* commits=[1-9]'
sleep 2
kill -9 "$second" && wait "$second" 2> /dev/null || [ $? = 137 ] || broken "the worker ended before it was killed"
sleep 1
midst=$(date +%s%3N)
run two "two again"
second=$worker
until_line "$work/two again.log" ' window records=[1-9][0-9]* commits=[1-9]'
late=$(date +%s%3N)
wait "$sender"
idle() { # LOG: its last four windows had no record
  [ "$(grep ' window ' "$work/$1.log" | tail -4 | grep -c 'records=0 ')" = 4 ]
}
for ((i = 0; i < 120; i++)); do
  idle one && idle "two again" && break
  sleep 0.5
done
kill "$first" "$second"
wait "$first" || broken "the first worker ended badly"
wait "$second" || broken "the second worker ended badly"
worker=

runs_again first --config "$work/worker.yaml"
[ "$(again first events)" = $sent ] || broken "want $sent events"
for what in hashes_same lists_same deltas_same; do # a slow machine makes few commits
  [ "$(again first $what)" -gt 10 ] || broken "$what: too few to show anything"
done
[ "$(again first engines)" -ge 3 ] || broken "want three engines and more: one was killed"
runs_again second --config "$work/worker.yaml"
[ "$(again first state_hash)" = "$(again second state_hash)" ] || broken "another state the second time"

# From a backup of the time when one worker had all tasks: less is run, and comes to the same.
runs_again "from a backup" --config "$work/worker.yaml" --base "$work/backup"
[ "$(again "from a backup" state_hash)" = "$(again first state_hash)" ] || broken "another state from a backup"
[ "$(again "from a backup" commits)" -lt "$(again first commits)" ] || broken "the backup saved nothing"

# Beside itself nothing differs; beside a fork with other settings the branch as it was is still held to the
# topics, and the other one makes other lists, from its beginning or from the midst on. Every act is ranked then,
# so that a part of the log has to do.
forked() { # NAME: "STATE LISTS COMPARED DIFFER ALONE EVENTS" of the fork; STATE, LISTS: same or other
  python3 - "$work/$1.json" << 'P'
import json
import sys
rows = sorted(json.load(open(sys.argv[1]))["what_if"]["configurations"], key=lambda row: row["number"])
lists = rows[1]["lists"]
print(*["same" if rows[0][key] == rows[1][key] else "other" for key in ("state_hash", "lists_hash")],
      lists["compared"], lists["differ"], lists["only_as_configured"] + lists["only_here"], rows[1]["events"])
P
}
runs_again itself --config "$work/worker.yaml" --until "$late" --what-if lists.k=50
read -r state lists compared differ alone events < <(forked itself)
[ "$state $lists $differ $alone" = "same same 0 0" ] || broken "it differs from itself: $(forked itself)"
[ "$compared" -gt 100 ] || broken "too few lists to show anything: $compared"
[ "$(again itself engines)" -ge 3 ] || broken "want three engines and more, also up to $late"
whole=$events

runs_again shorter --config "$work/worker.yaml" --until "$late" --what-if lists.k=7 --what-if lists.explore=0
read -r state lists compared differ alone events < <(forked shorter)
[ "$lists $events" = "other $whole" ] && [ "$differ" -gt 100 ] || broken "shorter lists: $(forked shorter)"
[ "$(again shorter state_hash)" = "$(again itself state_hash)" ] || broken "the branch as it was is another"

runs_again midst --config "$work/worker.yaml" --until "$late" --what-if lists.k=7 --from "$midst"
read -r state lists compared differ alone events < <(forked midst)
[ "$differ" -gt 0 ] && [ "$events" -gt 0 ] && [ "$events" -lt "$whole" ] || broken "from the midst: $(forked midst)"
status=0
"$millrace" replay --config "$work/worker.yaml" --epochs --what-if models.embedding.dim=16 --from "$midst" \
  > "$work/dimension.log" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q "want no --from" "$work/dimension.log" || broken "dim midway: exit $status, want 2"

# Up to a point: the workers go on after it, and the state is that of before.
point=$(date +%s%3N)
sleep 1
run one "one again"
last=$worker
"$tool" "$brokers" clicks clicks 3000 1000 2000 1200 > "$work/more.log" || broken "$(cat "$work/more.log")"
until_line "$work/one again.log" ' window records=[1-9][0-9]* commits=[1-9]'
for ((i = 0; i < 120; i++)); do
  idle "one again" && break
  sleep 0.5
done
kill "$last"
wait "$last" || broken "the last worker ended badly"
worker=
runs_again "up to a point" --config "$work/worker.yaml" --until "$point"
[ "$(again "up to a point" state_hash)" = "$(again first state_hash)" ] || broken "another state up to the point"
[ "$(again "up to a point" commits)" = "$(again first commits)" ] || broken "more commits than up to the point"
[ "$(again "up to a point" last_ms)" -le "$point" ] || broken "a commit of after the point"
[ "$(grep -c 'window records=[1-9]' "$work/one again.log")" -gt 0 ] || broken "nothing came after the point"

expect_fail other "another configuration" \
  "$millrace" replay --config "$work/worker.yaml" --epochs --set lists.k=7
status=0
"$millrace" replay --config "$work/worker.yaml" --epochs --kafka > "$work/usage.log" 2>&1 || status=$?
[ "$status" = 2 ] || broken "--epochs with --kafka: exit $status, want 2"
echo "ok"
