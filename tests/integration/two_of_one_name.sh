#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: of two processes with one instance name one ends by itself, soon, with exit 1 and a sentence that says
# why, under either membership of the group; the other goes on, and every event is counted once.
#
# usage: two_of_one_name.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
start_broker

second=
stop_both() {
  for process in $worker $second; do kill -9 "$process" 2> /dev/null || true; done
  end
}
trap stop_both EXIT
"$tool" "$brokers" make clicks 4
sent=0
for membership in dynamic static; do
  for folder in first second; do
    cat > "$work/$folder-$membership.yaml" << Y
app: names
instance: one
kafka: {bootstrap_servers: "$brokers", membership: $membership, session_timeout: 6s, transaction_timeout: 4s}
topics:
  clicks: {kind: click}
state: {path: $work/$folder}
users: {memory: 16MiB}
items: {max: 5000}
dedup: {events_max: 100000}
Y
  done
  "$millrace" check --config "$work/first-$membership.yaml" --create-topics > "$work/check.log" 2>&1 || broken "$(cat "$work/check.log")"
  "$millrace" run --config "$work/first-$membership.yaml" 2> "$work/first-$membership.log" &
  worker=$!
  until_line "$work/first-$membership.log" ' rebalance: ready'
  "$millrace" run --config "$work/second-$membership.yaml" 2> "$work/second-$membership.log" &
  second=$!
  # Slowly, so that both have something to commit all the time.
  sent=$((sent + 4000))
  "$tool" "$brokers" clicks clicks "$sent" 3000 2000 400 > /dev/null &
  producer=$!
  status=0 ended=
  wait -n -p ended "$worker" "$second" || status=$?
  [ "$status" = 1 ] || broken "$membership: exit $status, want 1"
  case $ended in "$worker") loser=first winner=second left=$second ;; *) loser=second winner=first left=$worker ;; esac
  grep -qE 'ends error=.*(a second process runs with the instance name one|has given the instance name one to another)' \
    "$work/$loser-$membership.log" || broken "$membership: $(tail -1 "$work/$loser-$membership.log")"
  echo "$membership: $(sed -n 's/.*ends \(error=.*\)/\1/p' "$work/$loser-$membership.log")"
  wait "$producer"
  kill -0 "$left" || broken "$membership: the $winner process ended too"
  kill -TERM "$left"
  wait "$left" || broken "$membership: the $winner process: exit $?"
  worker= second=
done
sleep 7 # a static member is one until its session is over
timeout 120 "$millrace" run --config "$work/$winner-static.yaml" --stop-at-end 2> "$work/last.log" || broken "the last run"
read -r _ learned _ <<< "$(counted "$work/last.log")"
[ "$learned" = "$sent" ] || broken "learned $learned, want $sent"
echo "ok: learned=$learned"
