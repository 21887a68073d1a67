#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same logs through millrace and through River, Vowpal Wabbit, implicit, MABWiser and Open Bandit Pipeline:
#   tests/bench/peers/run.sh BUILD [--keep DIR] [--logs NAME,...] [--peers NAME,...] [--runs N] [--json FILE]
# Packages come from PyPI into a throw-away environment, or one that is kept in DIR and used again. Logs are
# those of MILLRACE_DATA (globo/, ml-100k/, taobao-tail/), else a small made-up one. Not part of the tests:
# half an hour, and it needs the network once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { sed -n '3,7s/^# \{0,1\}//p' "$0"; exit 2; }
build=$1
shift
millrace=$build/bin/millrace
[ -x "$millrace" ] || { echo "$millrace is not there: want the folder of a build" >&2; exit 2; }
keep=
arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --keep) keep=${2:?--keep wants a folder}; shift 2 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
work=${keep:-$(mktemp -d -t millrace-peers-XXXXXX)}
[ -n "$keep" ] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
if [ ! -f "$work/installed" ]; then
  python3 -m venv "$work/env"
  : > "$work/failed.txt"
  while read -r package; do
    case $package in '' | '#'*) continue ;; esac
    "$work/env/bin/pip" install -q --no-deps --only-binary :all: "$package" > "$work/pip.log" 2>&1 ||
      { echo "$package: $(tail -1 "$work/pip.log")" | tee -a "$work/failed.txt" >&2; }
  done < "$here/requirements.txt"
  : > "$work/installed"
fi
# One core each, whatever a package would like.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
"$work/env/bin/python" "$here/table.py" --millrace "$millrace" --work "$work" ${arguments[@]+"${arguments[@]}"}
