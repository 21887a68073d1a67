#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: a worker needs no right on its machine but to write its state: it runs as nobody, without capabilities, on file
# systems that are all read-only but for state.path and TMPDIR, under the calls of deploy/seccomp.json, where any
# other one kills it; so do a restart, check and backup. What strace sees of them stands in that profile.
#
# usage: caged.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
profile=$here/../../deploy/seccomp.json caged=$here/python/caged.py nobody=65534
[ "$(id -u)" = 0 ] || skip "only root can make file systems read-only"
unshare --mount true 2> /dev/null || skip "no mount namespaces"
python3 -c 'import ctypes; ctypes.CDLL("libseccomp.so.2")' 2> /dev/null || skip "no libseccomp.so.2"
chmod 755 "$work"
mkdir "$work/state" "$work/tmp"
chown $nobody:$nobody "$work/state" "$work/tmp"
setpriv --reuid $nobody --regid $nobody --clear-groups test -x "$millrace" -a -r "$caged" || skip "nobody cannot read $build and $here"
start_broker

cat > "$work/worker.yaml" << Y
app: caged
instance: one
kafka: {bootstrap_servers: "$brokers"}
topics:
  clicks: {kind: click}
  goods: {kind: click, repartition: true}
state: {path: $work/state/one}
users: {memory: 8MiB}
items: {max: 5000}
metrics: {interval: 1s}
Y

# cage COMMAND...: in the place of this shell.
cage() {
  exec unshare --mount --propagation private env TMPDIR="$work/tmp" bash -c '
    work=$1 uid=$2
    shift 2
    mount --bind "$work/state" "$work/state" && mount --bind "$work/tmp" "$work/tmp" || exit 1
    while read -r at; do
      [ "$at" = "$work/state" ] || [ "$at" = "$work/tmp" ] || mount -o remount,bind,ro "$at" 2> /dev/null
    done < <(findmnt -rno TARGET)
    exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
  ' cage "$work" $nobody "$@"
}
in_cage() { cage /usr/bin/python3 "$caged" run "$profile" "$@"; }

# The cage holds: a foreign call kills, and nothing but the state can be written.
status=0
(in_cage /usr/bin/unshare --user true) > "$work/foreign.log" 2>&1 || status=$?
[ "$status" = 159 ] || broken "a call that the profile does not name: exit $status, want 159 (SIGSYS)"
chmod 777 "$work/kafka" 2> /dev/null || true
for path in "$work/kafka/x" /tmp/x /var/tmp/x /dev/shm/x; do
  ! (cage touch "$path") 2> /dev/null || broken "$path could be written"
done
(cage touch "$work/state/x") && rm "$work/state/x" || broken "the state cannot be written"

"$tool" "$brokers" make clicks 2
"$tool" "$brokers" make goods 3
(in_cage "$millrace" check --config "$work/worker.yaml" --create-topics) > "$work/check.log" 2>&1 || broken "check: $(cat "$work/check.log")"
"$tool" "$brokers" clicks clicks 3000 300 200 0 0 once 0 > "$work/sent.log"
(in_cage "$millrace" run --config "$work/worker.yaml") 2> "$work/run.log" &
worker=$!
until_line "$work/run.log" ' rebalance: ready'
"$tool" "$brokers" clicks goods 3000 300 200 0 0 once 3000 > "$work/sent.log"
for ((i = 0; ; i++)); do
  [ "$("$tool" "$brokers" count caged.repartition)" != "records=3000" ] || break
  [ "$i" -lt 60 ] || broken "copies: $("$tool" "$brokers" count caged.repartition), want 3000"
  sleep 0.5
done
(in_cage "$millrace" backup --config "$work/worker.yaml" --out "$work/state/backup") > "$work/backup.log" 2>&1 \
  || broken "backup: $(cat "$work/backup.log")"
[ "$(awk '/^Uid:/ {print $2}' "/proc/$worker/status")" = $nobody ] || broken "the worker is not nobody"
grep -q '^CapEff:[[:space:]]*0*$' "/proc/$worker/status" || broken "the worker has capabilities"
grep -q '^Seccomp:[[:space:]]*2$' "/proc/$worker/status" || broken "the worker is not filtered"
kill "$worker"
status=0
wait "$worker" || status=$?
worker=
[ "$status" = 0 ] || broken "the end: exit $status: $(tail -2 "$work/run.log")"
(in_cage "$millrace" run --config "$work/worker.yaml" --stop-at-end) 2> "$work/rest.log" || broken "the restart: $(tail -2 "$work/rest.log")"
read -r counted learned duplicate <<< "$(counted "$work/rest.log")"
echo "counted=$counted learned=$learned duplicate=$duplicate"
[ "$learned" = 6000 ] && [ "$duplicate" = 0 ] || broken "want 6000"

if command -v strace > /dev/null; then
  traced() { # NAME COMMAND...
    strace -f -o "$work/$1.strace" "${@:2}" > "$work/$1.log" 2>&1 || broken "$1 under strace: $(tail -2 "$work/$1.log")"
  }
  sed -i "s|^state:.*|state: {path: $work/traced}|" "$work/worker.yaml"
  traced connect "$millrace" check --config "$work/worker.yaml" --connect
  traced again "$millrace" run --config "$work/worker.yaml" --stop-at-end
  lacks=$(python3 "$caged" lacks "$profile" "$work/connect.strace" "$work/again.strace")
  [ -z "$lacks" ] || broken "deploy/seccomp.json lacks $lacks"
  echo "$(grep -ohE '^[0-9]+ +[a-z_0-9]+\(' "$work"/*.strace | awk '{print $2}' | sort -u | wc -l) calls seen, all in the profile"
else
  echo "skipped: strace, which is not there"
fi
echo ok
