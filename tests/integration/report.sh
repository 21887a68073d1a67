#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shows: the report of a replay draws itself in a real browser, at the width of a desk and of a phone: no
# plot is missing or empty, no text runs out of its box, and nothing is asked of the network.
#
# usage: report.sh BUILD_DIR
BUILD=$1
. "$(dirname "$0")/lib.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "no Chromium"

# Four weeks of events, so that there are windows to draw.
awk 'BEGIN {
  srand(7); print "timestamp_ms,user,item,type"
  for (i = 0; i < 4000; i++)
    printf "%.0f,u%d,i%d,click\n", 1700000000000 + i * 600000, rand() * 60, rand() * rand() * 80
}' > "$work/log.csv"
"$millrace" replay --input "$work/log.csv" --out "$work/replay" --split 2023-12-01T00:00Z --set replay.commit_events=200 > "$work/replay.log" 2>&1 || broken "replay: $(tail -1 "$work/replay.log")"
obd="$here/../data/obd"
"$millrace" ope "$obd/events-random-men.csv.gz" --policy frequencies --of "$obd/events-bts-men.csv.gz" --out "$work/replay" \
  > "$work/ope.txt" || broken "ope"
"$millrace" replay --input "$work/log.csv" --what-if models.embedding.rate_item=0.3 --out "$work/what if" --set replay.commit_events=200 --set replay.memory_max=64GiB \
  > "$work/what_if.txt" 2>&1 || broken "what if: $(tail -1 "$work/what_if.txt")"
"$millrace" report "$work/what if" > "$work/report.txt" || broken "the report of a what-if alone"
cp "$work/what if/sweep.json" "$work/replay/"
"$millrace" report "$work/replay" > "$work/report.txt" || broken "report"
grep -oE '(src|href)="[^"]*"' "$work/replay/report.html" && broken "the page asks for other files"

# A page that shows the report in a frame of each width and writes what is wrong into itself.
cat > "$work/look.html" << 'H'
<!doctype html><body><pre id="found">nothing was looked at</pre>
<iframe id="w1280" width="1280" height="2000" src="replay/report.html"></iframe>
<iframe id="w390" width="390" height="2000" src="replay/report.html"></iframe>
<script>
onload = () => setTimeout(() => {
  const found = [];
  for (const width of [1280, 390]) {
    const page = document.getElementById('w' + width).contentDocument;
    const plots = [...page.querySelectorAll('canvas')];
    if (plots.length !== 6) found.push(`${width}: ${plots.length} plots, want 6`);
    for (const plot of plots) {
      const pixels = plot.getContext('2d').getImageData(0, 0, plot.width, plot.height).data;
      // Axes and texts are grey: what is drawn of the data has colours.
      let drawn = 0;
      for (let i = 0; i < pixels.length; i += 4)
        drawn += Math.max(pixels[i], pixels[i + 1], pixels[i + 2]) - Math.min(pixels[i], pixels[i + 1], pixels[i + 2]) > 60;
      if (drawn < (plot.height > 200 ? 1500 : 300)) found.push(`${width}: a plot has ${drawn} coloured pixels`);
    }
    if (page.documentElement.scrollWidth > width) found.push(`${width}: the page is ${page.documentElement.scrollWidth} wide`);
    for (const e of page.querySelectorAll('h1,h2,p,li,.tile,section'))
      if (e.scrollWidth > e.clientWidth + 1) found.push(`${width}: ${e.tagName} "${e.textContent.slice(0, 40)}" runs over`);
    const tables = [...page.querySelectorAll('table')].map((t) => t.querySelectorAll('tbody tr').length);
    if (tables.length !== 8 || tables[0] !== 11 || tables[1] < 5 || tables[3] !== 3 || tables[4] !== 2 || tables[5] < 9 || tables[6] < 10 || tables[7] !== 10)
      found.push(`${width}: tables of ${tables} rows, want eight`);
    const text = page.body.innerText;
    if (!text.includes('4,000 learned') || text.includes('NaN') || text.includes('undefined')) found.push(`${width}: figures are missing`);
  }
  document.getElementById('found').textContent = found.length ? found.join('\n') : 'all is well';
}, 1500);
</script>
H
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --allow-file-access-from-files --user-data-dir="$work/browser" \
  --window-size=1700,4200 --virtual-time-budget=8000 --dump-dom "file://$work/look.html" > "$work/dom.html" 2> "$work/browser.txt" ||
  skip "Chromium does not run here: $(tail -1 "$work/browser.txt")"
found=$(grep -ozP '<pre id="found">\K[^<]*' "$work/dom.html" | tr -d '\0')
echo "$found"
[ "$found" = "all is well" ] || broken "$found"
