#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: records that were refused are counted by cause, and after the mend they go back on their topics as
# they were, each once however often that is asked, and are learned.
#
# usage: dead_letters.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
python -c 'import fastavro, confluent_kafka'
start_broker

mkdir "$work/schemas"
cat > "$work/worker.yaml" << Y
app: letters
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
schemas: {directory: $work/schemas}
state: {path: $work/state}
users: {memory: 8MiB}
items: {max: 5000}
Y
letters() { "$millrace" dead-letters --config "$work/worker.yaml" "$@" 2> "$work/letters.log" || broken "$(cat "$work/letters.log")"; }
catch_up() { timeout 60 "$millrace" run --config "$work/worker.yaml" --stop-at-end 2> "$work/$1.log" || broken "the run $1"; counted "$work/$1.log"; }

python "$here/python/letters.py" send "$brokers" "$millrace" "$work/21.avsc"
"$millrace" check --config "$work/worker.yaml" --create-topics > "$work/check.log" && broken "check finds nothing wrong"
grep -q "300 of 400 records cannot be read: schema id 21 is not known" "$work/check.log" || broken "$(cat "$work/check.log")"
[ "$(catch_up first)" = "400 100 0" ] || broken "counted $(counted "$work/first.log"), want 400 100 0"
letters > "$work/seen.txt"
cat "$work/seen.txt"
grep -q "unknown_schema *clicks *300 " "$work/seen.txt" || broken "300 of an unknown schema"
[ "$(letters --json --cause no_user | tr -d ' \n' | cut -d , -f 1)" = '{"letters":0' ] || broken "letters of another cause"

mv "$work/21.avsc" "$work/schemas/21.avsc"
letters --cause unknown_schema --redrive > "$work/redriven.txt"
tail -1 "$work/redriven.txt"
grep -q "^300 were put back" "$work/redriven.txt" || broken "300 put back"
letters --cause unknown_schema --redrive > "$work/again.txt"
grep -q "^0 were put back" "$work/again.txt" || broken "put back twice"
[ "$(catch_up second)" = "700 400 0" ] || broken "counted $(counted "$work/second.log"), want 700 400 0"
found=$(python "$here/python/letters.py" redriven "$brokers")
echo "$found"
[ "$found" = "redriven=300 differ=0" ] || broken "$found"
echo "ok"
