#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: the model of ARCHITECTURE.md's walk-through builds as it stands there, with one row and one file, passes
# the engine's tests beside all other models, and foresees acts in a replay.
#
# usage: walkthrough.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
root=$(cd "$here/../.." && pwd)
copy=$work/source

mkdir "$copy"
(cd "$root" && cp -r CMakeLists.txt CMakePresets.json worker core schemas state deploy tests "$copy")

# blocks N: the N-th block of C behind the walk-through's heading.
block() { sed -n '/^### A model from nothing/,/^## /p' "$root/ARCHITECTURE.md" | awk -v n="$1" '
  /^```c$/ { count++; inside = count == n; next }
  /^```$/  { inside = 0 }
  inside'; }
block 1 > "$copy/core/model/recency.c"
row=$(block 2)
[[ $row == MR_MODEL\(recency\)* ]] || broken "the second block is no row: '$row'"
sed -i "/^MR_MODEL(popularity)/a $row" "$copy/core/model/models.def"
sed -i 's|^    model/popularity.c$|&\n    model/recency.c|' "$copy/core/CMakeLists.txt"

cmake -G Ninja -S "$copy" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O1 > "$work/cmake.log" \
  || broken "$(tail -5 "$work/cmake.log")"
cmake --build "$work/build" -j "$(nproc)" --target millrace test_engine > "$work/make.log" 2>&1 \
  || broken "$(grep -E 'error|warning' "$work/make.log" | head -5)"
(cd "$copy" && OPENBLAS_NUM_THREADS=1 "$work/build/tests/test_engine" > "$work/test.log" 2>&1) \
  || broken "$(grep -E 'ERROR|FAILED' "$work/test.log" | head -5)"

"$work/build/bin/millrace" replay --generate events=20000,users=200,items=300,seed=1 > "$work/replay.txt" 2> "$work/replay.log" \
  || broken "$(tail -3 "$work/replay.log")"
found=$(awk '$1 == "recency" && $2 > 0 { print $1, "recall@20", $2 }' "$work/replay.txt")
[ -n "$found" ] || { grep -n recency "$work/replay.txt"; broken "no recall of recency"; }
"$millrace" replay --generate events=1000,users=20,items=30,seed=1 2> /dev/null | grep -q '^ *recency ' && broken "it was there before"
echo "$found"
echo "ok"
