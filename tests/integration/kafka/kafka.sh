#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs real Apache Kafka (KRaft) on loopback, from jars that Maven fetches once.
#   kafka.sh fetch                 fetch the jars (44 MB)
#   kafka.sh start [N]             start N brokers (1 or 3, default 1), wait until they answer
#   kafka.sh stop                  stop them all, cleanly
#   kafka.sh kill I | up I         SIGKILL broker I / start it again on its own data
#   kafka.sh bootstrap             print the bootstrap.servers string
#   kafka.sh wipe                  kill them all and delete the data
# KAFKA_LIBS (default ~/.cache/millrace/kafka) is where the jars are kept; KAFKA_DATA (required but for
# fetch) where logs and pid files go; KAFKA_PORT (default 19092) the first port; KAFKA_HEAP (default
# 512m) each broker's heap. KAFKA_PATHS (default 0, at most 3): so many more listeners each broker has,
# path J at the broker's port + 1 + J, and tells clients that it is at port + 4 + J, where a test can put
# a proxy. KAFKA_SECURE ("NAME:PASSWORD ..."): clients come over SASL_SSL only, as one of these users, by
# SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN; the first may do everything, the others what ACLs allow. The CA's
# certificate is then $KAFKA_DATA/ca.pem. Needs Java 17 and, for fetch, Maven; a secured one openssl too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
libs=${KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/kafka}
data=${KAFKA_DATA:-}
port=${KAFKA_PORT:-19092}
heap=${KAFKA_HEAP:-512m}
paths=${KAFKA_PATHS:-0}
secure=${KAFKA_SECURE:-}
protocol=${secure:+SASL_SSL}
protocol=${protocol:-PLAINTEXT}
cluster_id=bWlsbHJhY2UtdGVzdC1jbA # any 16 bytes in url-safe base64, without padding
client_port() { echo $((port + 10 * ($1 - 1))); }
quorum_port() { echo $((port + 10 * ($1 - 1) + 1)); }

fetch() {
  [ -f "$libs/.complete" ] && return 0
  mkdir -p "$libs"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" -DincludeScope=runtime
  touch "$libs/.complete"
}

bootstrap() {
  local i out=
  for ((i = 1; i <= $(cat "$data/count"); i++)); do out+=${out:+,}127.0.0.1:$(client_port "$i"); done
  echo "$out"
}

config() {  # config ID COUNT: writes server.properties of one combined broker and controller
  local i voters= rf=$2 isr=1 at=$(client_port "$1") listen= tell= map=
  for ((i = 1; i <= paths; i++)); do
    listen+=,PATH$i://127.0.0.1:$((at + 1 + i)) tell+=,PATH$i://127.0.0.1:$((at + 4 + i)) map+=,PATH$i:$protocol
  done
  [ "$2" -ge 3 ] && rf=3 isr=2
  for ((i = 1; i <= $2; i++)); do voters+=${voters:+,}$i@127.0.0.1:$(quorum_port "$i"); done
  mkdir -p "$data/$1"
  cat > "$data/$1/server.properties" <<P
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:$at,CONTROLLER://127.0.0.1:$(quorum_port "$1")$listen
advertised.listeners=CLIENTS://127.0.0.1:$at$tell
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:$protocol,CONTROLLER:PLAINTEXT$map
log.dirs=$data/$1/logs
auto.create.topics.enable=false
default.replication.factor=$rf
min.insync.replicas=$isr
offsets.topic.replication.factor=$rf
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$rf
transaction.state.log.min.isr=$isr
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$rf
share.coordinator.state.topic.min.isr=$isr
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
P
  [ -z "$secure" ] || security >> "$data/$1/server.properties"
}

security() {  # what a secured broker's server.properties has beside; the quorum speaks plain, among itself
  local user admin=${secure%% *} modules=org.apache.kafka.common.security plain= mechanism
  for user in $secure; do plain+=" user_${user%%:*}=\"${user#*:}\""; done
  cat <<P
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:${admin%%:*};User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=$data/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=$data/ca.pem
listener.name.clients.plain.sasl.jaas.config=$modules.plain.PlainLoginModule required$plain;
P
  for mechanism in 512 256; do
    echo "listener.name.clients.scram-sha-$mechanism.sasl.jaas.config=$modules.scram.ScramLoginModule required" \
      "username=\"${admin%%:*}\" password=\"${admin#*:}\";"
  done
}

certificates() {  # a CA of this run's own, and one certificate for all brokers
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=millrace test CA" \
    -keyout "$data/ca.key" -out "$data/ca.pem"
  openssl req -newkey rsa:2048 -nodes -subj "/CN=broker" -keyout "$data/broker.key" |
    openssl x509 -req -days 2 -CA "$data/ca.pem" -CAkey "$data/ca.key" -CAcreateserial \
      -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") > "$data/broker.crt"
  cat "$data/broker.key" "$data/broker.crt" > "$data/broker.pem"
}

users() {  # options of StorageTool: the users as they stand in the log from the start
  local user mechanism
  for user in $secure; do
    for mechanism in 512 256; do
      printf -- '--add-scram\nSCRAM-SHA-%s=[name=%s,password=%s]\n' "$mechanism" "${user%%:*}" "${user#*:}"
    done
  done
}

up() {
  local d=$data/$1 scrams=()
  [ -z "$secure" ] || mapfile -t scrams < <(users)
  [ -f "$d/logs/meta.properties" ] ||
    java -Xmx128m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$libs/*" \
      kafka.tools.StorageTool format -t "$cluster_id" "${scrams[@]}" -c "$d/server.properties" > "$d/format.log" 2>&1
  setsid java -Xms128m "-Xmx$heap" -XX:TieredStopAtLevel=${KAFKA_JIT:-4} -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -cp "$libs/*" kafka.Kafka "$d/server.properties" >> "$d/broker.log" 2>&1 < /dev/null &
  echo $! > "$d/pid"
}

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$(client_port "$1")") 2> /dev/null; }

wait_up() {
  local i t
  for ((i = 1; i <= $1; i++)); do
    for ((t = 0; ; t++)); do
      answers "$i" && break
      kill -0 "$(cat "$data/$i/pid")" 2> /dev/null || { echo "broker $i died: see $data/$i/broker.log" >&2; return 1; }
      [ "$t" -lt 600 ] || { echo "broker $i did not answer within 60 s" >&2; return 1; }
      sleep 0.1
    done
  done
}

stop() {
  local p
  for p in "$data"/*/pid; do
    [ -f "$p" ] || continue
    kill "$(cat "$p")" 2> /dev/null || true
  done
  for p in "$data"/*/pid; do
    [ -f "$p" ] || continue
    for ((t = 0; t < 150; t++)); do kill -0 "$(cat "$p")" 2> /dev/null || break; sleep 0.1; done
    kill -9 "$(cat "$p")" 2> /dev/null || true
    rm -f "$p"
  done
}

wipe() {
  local p
  for p in "$data"/*/pid; do
    [ -f "$p" ] && kill -9 "$(cat "$p")" 2> /dev/null || true
  done
  rm -rf "$data"
}

[ -n "$data" ] || [ "${1:-}" = fetch ] || { sed -n '3,18p' "$0"; exit 2; }
case ${1:-} in
  fetch) fetch ;;
  start)
    n=${2:-1}; fetch
    for ((i = 1; i <= n; i++)); do
      answers "$i" && { echo "port $(client_port "$i") is in use: set KAFKA_PORT" >&2; exit 1; }
    done
    mkdir -p "$data"; echo "$n" > "$data/count"
    [ -z "$secure" ] || certificates 2> "$data/certificates.log"
    for ((i = 1; i <= n; i++)); do config "$i" "$n"; up "$i"; done
    wait_up "$n"; bootstrap ;;
  stop) stop ;;
  kill) kill -9 "$(cat "$data/$2/pid")" ;;
  up) up "$2" ;;
  bootstrap) bootstrap ;;
  wipe) wipe ;;
  *) sed -n '3,18p' "$0"; exit 2 ;;
esac
