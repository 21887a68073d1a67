#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a worker adopts the state that a replay left: it writes every row to the changelogs, goes on
# from there, and the counts are those of the replay and of what came after. Also from a lost disk, after
# a kill in the middle of the adoption, and when an operator says which of two histories holds.
#
# usage: replay_then_run.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

python3 - > "$work/log.csv" << 'P'
print("timestamp_ms,user,item,type,value,session,position,propensity")
for i in range(20000):
    user, item = i * 7919 % 3000, (i * 7919 % 3000 % 10) * 20 + i * 104729 % 20
    print(f"{1700000000000 + i * 100},user-{user},item-{item},click,,,,")
P
cat > "$work/worker.yaml" << Y
app: adopt
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $work/out/state}
replay: {tasks: 4}
users: {memory: 8MiB}
items: {max: 5000}
dedup: {events_max: 20000}
epoch: {bytes_max: 64KiB}
commit: {bytes_max: 1MiB}
Y
settings=(--config "$work/worker.yaml")
replayed() { "$millrace" replay "${settings[@]}" "$@" --no-metrics --json "$work/log.csv" > "$work/replay.json" 2> "$work/replay.log" || { cat "$work/replay.log"; return 1; }; }
replayed --out "$work/out" || broken "the replay"
events=20000 more=500
[ "$(jq -r .counters.learned "$work/replay.json" 2> /dev/null || sed -n 's/.*"learned": \([0-9]*\).*/\1/p' "$work/replay.json" | head -1)" = $events ] || broken "the replay's counts: $(cat "$work/replay.json" | head -40)"

"$tool" "$brokers" make clicks 4
"$millrace" check "${settings[@]}" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
"$tool" "$brokers" clicks clicks $more 500 200 0 > /dev/null

run() { # NAME WANT: to the end of the inputs; as many events as that have to be counted
  timeout 120 "$millrace" run "${settings[@]}" --stop-at-end 2> "$work/$1.log" || broken "run: $1"
  read -r all learned duplicate <<< "$(counted "$work/$1.log")"
  echo "$1: counted=$all learned=$learned duplicate=$duplicate"
  [ "$all" = "$2" ] && [ "$learned" = "$2" ] && [ "$duplicate" = 0 ] || broken "$1: want $2 counted"
}

# Killed while it writes the changelogs: nothing is valid, the next start begins again.
cp -r "$work/out" "$work/kept"
"$millrace" run "${settings[@]}" --stop-at-end --set log.debug=commit,task --log-level debug 2> "$work/killed.log" &
worker=$!
timeout 60 tail -n +1 -f --pid "$worker" "$work/killed.log" | grep -m 1 -q 'to=ending' || true
kill -9 "$worker" && wait "$worker" 2> /dev/null || true
worker=
grep -q 'the changelogs were written' "$work/killed.log" && broken "the kill came after the adoption"

run adopted $((events + more))
grep 'the changelogs were written' "$work/adopted.log" | sed 's/.*copy/adoption:/' || broken "nothing was adopted"
"$millrace" inspect "$work/out" summary --json > "$work/summary.json" || broken "inspect"
"$millrace" inspect "$work/out" verify > "$work/verify.txt" || broken "verify: $(cat "$work/verify.txt")"

# Nothing is adopted twice, and the changelogs alone have all of it.
run again $((events + more))
grep -q 'the changelogs were written' "$work/again.log" && broken "adopted twice"
mv "$work/out" "$work/gone" && mkdir "$work/out"
run "lost disk" $((events + more))
grep -q 'restored.*base=changelog' "$work/lost disk.log" || broken "it did not restore from the changelog"

# Another replay over these changelogs: refused until somebody says which history holds.
rm -rf "$work/out"
replayed --set seed=7 --out "$work/out" || broken "the second replay"
expect_fail refused "changelogs hold another history" "$millrace" run "${settings[@]}" --stop-at-end
"$millrace" recover "${settings[@]}" --from-local 2> "$work/recover.log" || broken "recover --from-local"
grep 'the changelogs were written' "$work/recover.log" | sed 's/.*copy/recover --from-local:/'
run "after recover" $((events + more)) # `start: earliest`: the inputs are read from their beginning
rm -rf "$work/out" && mkdir "$work/out"
run "lost disk after recover" $((events + more))
"$millrace" recover "${settings[@]}" --from-log 2> "$work/from-log.log" || broken "recover --from-log"
run "after --from-log" $((events + more))
grep -q 'restored.*base=changelog' "$work/after --from-log.log" || broken "--from-log kept the local state"

# A replay of another number of tasks cannot be spread anew.
rm -rf "$work/out"
replayed --set replay.tasks=8 --out "$work/out" || broken "the third replay"
expect_fail tasks "replay.tasks=4" "$millrace" run "${settings[@]}" --stop-at-end
echo "ok"
