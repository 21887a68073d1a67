#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a backup that is taken while the worker learns at full load is a base for a machine that has
# nothing: it is restored, the start reads only the rest of the changelogs, and every event was counted
# once. And what the operator can do after brokers have lost the changelogs, or the state is torn.
#
# usage: backup_under_load.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

configure() { # FILE FOLDER
  cat > "$1" << Y
app: saved
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
state: {path: $2, gather_ms: 100ms}
users: {memory: 16MiB}
items: {max: 20000}
dedup: {events_max: 20000}
commit: {events_max: 4000}
Y
}
configure "$work/worker.yaml" "$work/state"
settings=(--config "$work/worker.yaml")
"$tool" "$brokers" make clicks 4
"$millrace" check "${settings[@]}" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"

sent=60000
"$tool" "$brokers" clicks clicks "$sent" 1000 2000 6000 > "$work/sent.log" &
sender=$!
"$millrace" run "${settings[@]}" 2> "$work/loaded.log" &
worker=$!
until_line "$work/loaded.log" ': ready'

for ((tries = 0; tries < 300; tries++)); do
  "$millrace" inspect "$work/state" users --top 0 --json 2> /dev/null | grep -q '"users": [1-9]' && break
  sleep 0.1
done

# Three backups while it works, each a whole state of its own and newer than the one before.
last=0
for i in 1 2 3; do
  sleep 1
  "$millrace" backup "${settings[@]}" --out "$work/backup$i" --json > "$work/backup$i.json" 2> "$work/backup$i.log" \
    || broken "backup $i: $(cat "$work/backup$i.log")"
  seq=$(sed -n 's/.*"seq": \([0-9]*\).*/\1/p' "$work/backup$i.json")
  rows=$(sed -n 's/.*"rows": \([0-9]*\).*/\1/p' "$work/backup$i.json")
  echo "backup $i: seq=$seq rows=$rows bytes=$(stat -c %s "$work/backup$i/data.mdb") of $(stat -c %s "$work/state/data.mdb")"
  [ "$seq" -gt "$last" ] || broken "backup $i is not newer than the one before"
  last=$seq
done
"$millrace" inspect "$work/backup2" verify > "$work/verify.log" || broken "verify: $(cat "$work/verify.log")"
wait "$sender"
kill -TERM "$worker" && wait "$worker" || broken "the worker did not end well"
worker=

to_the_end() { # NAME OPTION...: and every event was counted once
  local name=$1
  shift
  timeout 200 "$millrace" run "${settings[@]}" --stop-at-end "$@" 2> "$work/$name.log" || broken "run to the end, $name"
  read -r counted learned duplicate <<< "$(counted "$work/$name.log")"
  echo "$name: sent=$sent counted=$counted duplicate=$duplicate" \
    "$(sed -n 's/.*restored task=.*base=\(.*\) seq.*rows_read=\([0-9]*\).*/\1 \2/p' "$work/$name.log" | sort \
      | awk '{rows += $NF; $NF = ""; base = base $0 ";"} END {print "bases:", base, "rows read:", rows}')"
  [ "$counted" = "$sent" ] || broken "$name: want $sent counted"
  [ "$duplicate" = 0 ] || broken "$name: events were read twice"
}
rows_read() { sed -n 's/.*restored task=.*rows_read=\([0-9]*\).*/\1/p' "$work/$1.log" | awk '{rows += $1} END {print rows}'; }
based_on() { # NAME BASE: all of its tasks
  [ "$(grep -c ' restored ' "$work/$1.log")" = "$(grep -c " restored .*base=\"*$2" "$work/$1.log")" ] \
    || broken "$1: $(grep ' restored ' "$work/$1.log")"
}
to_the_end "the rest"
"$millrace" inspect "$work/state" hash --json > "$work/hash.json" || broken "hash"
hash=$(sed -n 's/.*"state_hash": "\(.*\)".*/\1/p' "$work/hash.json" | head -1)

# The whole history is run again, and what came after a backup.
runs_again "from the beginning" "${settings[@]}"
runs_again "from a backup" "${settings[@]}" --base "$work/backup2"
[ "$(again "from a backup" commits)" -lt "$(again "from the beginning" commits)" ] || broken "the base saved nothing"
[ "$(again "from a backup" state_hash)" = "$(again "from the beginning" state_hash)" ] || broken "another state from a backup"

# Another machine: the last backup and the brokers are all it has.
expect_fail "restore over a state" "holds a state of this history already" \
  "$millrace" restore "${settings[@]}" --from "$work/backup3"
mv "$work/state" "$work/lost"
sed 's/app: saved/app: other/' "$work/worker.yaml" > "$work/other.yaml"
expect_fail "restore for another application" "is of the application 'saved'" \
  "$millrace" restore --config "$work/other.yaml" --from "$work/backup3"
"$millrace" restore "${settings[@]}" --from "$work/backup3" > "$work/restore.log" 2>&1 || broken "restore: $(cat "$work/restore.log")"
to_the_end "from the backup"
based_on "from the backup" "local copy"
"$millrace" inspect "$work/state" hash --json | grep -q "$hash" || broken "another state than before"

# And with nothing but the brokers: the same, by reading all of it.
rm -rf "$work/state"
to_the_end "from the changelogs"
based_on "from the changelogs" changelog
"$millrace" inspect "$work/state" hash --json | grep -q "$hash" || broken "another state than before"
[ "$(rows_read "from the backup")" -lt "$(rows_read "from the changelogs")" ] || broken "the backup saved nothing"

# A state that cannot be opened any more: --from-log drops it all the same.
truncate -s 12288 "$work/state/data.mdb"
expect_fail "torn" "torn" "$millrace" run "${settings[@]}" --stop-at-end
"$millrace" recover "${settings[@]}" --from-log 2> "$work/from-log.log" || broken "recover --from-log of a torn state"
to_the_end "after --from-log"
based_on "after --from-log" changelog

# The brokers lose what they had confirmed: the start stops, and --from-local writes it again.
for topic in saved.user-rows saved.item-rows; do "$tool" "$brokers" delete "$topic"; done
"$millrace" check "${settings[@]}" --create-topics > "$work/check.log" || broken "$(cat "$work/check.log")"
expect_fail "lost changelogs" "lost committed records" "$millrace" run "${settings[@]}" --stop-at-end
"$millrace" recover "${settings[@]}" --from-local 2> "$work/from-local.log" || broken "recover --from-local: $(tail -1 "$work/from-local.log")"
to_the_end "after --from-local"
rm -rf "$work/state"
to_the_end "what it wrote, read back"
based_on "what it wrote, read back" changelog
runs_again "with rows written again" "${settings[@]}"
"$millrace" inspect "$work/state" hash --json | grep -q "$hash" || broken "another state than before"
echo "ok"
