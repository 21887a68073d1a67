#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs Apicurio Registry, in memory, with its Confluent-compatible API on loopback.
#
#   registry.sh fetch | start | stop | url
#     REGISTRY_HOME   the unpacked server, 142 MB of Maven Central (default ~/.cache/millrace/apicurio)
#     REGISTRY_DATA   its log and process id (default ./registry-run)
#     REGISTRY_PORT   default 18081
set -euo pipefail
version=2.6.13.Final # the last line that runs on Java 17; 3.x needs Java 21
server=${REGISTRY_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace/apicurio}
jar=$server/apicurio-registry-app-$version-runner.jar
data=${REGISTRY_DATA:-$PWD/registry-run}
port=${REGISTRY_PORT:-18081}
url=http://127.0.0.1:$port/apis/ccompat/v7

case ${1:-} in
fetch)
  [ -f "$jar" ] && exit 0
  mkdir -p "$server"
  mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dmdep.useBaseVersion=true \
    -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$server" >&2
  tar xzf "$server/apicurio-registry-app-$version-all.tar.gz" -C "$server"
  rm "$server/apicurio-registry-app-$version-all.tar.gz"
  ;;
start)
  mkdir -p "$data"
  curl -s -o /dev/null "http://127.0.0.1:$port/" && { echo "port $port is in use" >&2; exit 1; }
  setsid java -Xmx384m -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" -jar "$jar" \
    >> "$data/registry.log" 2>&1 < /dev/null &
  echo $! > "$data/pid"
  for ((t = 0; t < 1200; t++)); do
    curl -sf -o /dev/null "$url/subjects" && { echo "$url"; exit 0; }
    kill -0 "$(cat "$data/pid")" 2> /dev/null || break
    sleep 0.1
  done
  echo "the registry did not start: see $data/registry.log" >&2
  exit 1
  ;;
stop)
  [ -f "$data/pid" ] || exit 0
  kill -9 "$(cat "$data/pid")" 2> /dev/null || true
  rm -f "$data/pid"
  ;;
url) echo "$url" ;;
*)
  sed -n '5,9p' "$0" >&2
  exit 2
  ;;
esac
