// SPDX-License-Identifier: Apache-2.0
// Draws a replay from the JSON in this page. No network, no clock: the same data, the same page.
(function () {
  'use strict';
  const data = JSON.parse(document.getElementById('data').textContent);
  const { summary, windows } = data;
  const report = document.getElementById('report');
  const METRICS = [['recall@20', 'recall@20'], ['ndcg@20', 'nDCG@20'], ['mrr', 'MRR@20']];
  const PROTOCOLS = [['all', 'every act is a target'], ['new', 'items new to the user']];
  const COLOURS = ['#4269d0', '#efb118', '#ff725c', '#6cc5b0', '#3ca951', '#ff8ab7', '#a463f2', '#97bbf5', '#9c6b4e', '#9498a0'];
  const models = summary ? Object.keys(summary.models) : [];
  const whole = models[models.length - 1]; // what is published comes last

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children.map((c) => (c instanceof Node ? c : String(c))));
    return element;
  };
  const count = (x) => Number(x).toLocaleString('en');
  const share = (x) => (x === null || x === undefined || Number.isNaN(x) ? 'n/a' : x.toFixed(4).replace(/^0\./, '.'));
  const figure = (x) => (x === null ? 'n/a' : Number.isInteger(x) ? count(x) : Math.abs(x) >= 100 ? count(Math.round(x)) : x.toFixed(4));
  const measured = (m) => (m === null || m.value === null ? 'n/a' : `${share(m.value)} (${share(m.low)}–${share(m.high)})`);
  const day = (ms) => new Date(ms).toISOString().slice(0, 10);
  const section = (title, note, ...children) => {
    const element = make('section', {}, make('h2', {}, title), note ? make('p', { class: 'faint' }, note) : '', ...children);
    report.append(element);
    return element;
  };
  const colour = (model) => (model === whole ? '#111827' : COLOURS[models.indexOf(model) % COLOURS.length]);

  // ---- plots

  const plot = (parent, type, options, datasets, labels, height) => {
    const canvas = make('canvas', { role: 'img' });
    parent.append(make('div', { class: 'plot', style: height ? `height: ${height}px` : '' }, canvas));
    return new Chart(canvas, {
      type,
      data: { labels, datasets },
      options: Object.assign({
        animation: false, maintainAspectRatio: false, responsive: true,
        interaction: { mode: 'index', intersect: false },
        plugins: { legend: { position: 'bottom', labels: { boxWidth: 22, boxHeight: 0, padding: 8 } } },
      }, options),
    });
  };
  const line = (model, points) => ({
    label: model, data: points, parsing: false, borderColor: colour(model), backgroundColor: colour(model),
    borderWidth: model === whole ? 2.5 : 1.25, pointRadius: 0, pointHitRadius: 6, tension: 0,
  });
  const scales = (format, title, ticks) => ({
    scales: {
      x: {
        type: 'linear', bounds: 'data',
        ticks: { includeBounds: false, maxTicksLimit: window.innerWidth < 560 ? 4 : ticks, maxRotation: 0, callback: format },
      },
      y: { beginAtZero: true, title: { display: true, text: title } },
    },
  });

  // ---- what was replayed

  function drawSummary() {
    report.append(make('p', { class: 'faint' },
      windows.from_ms.length > 0 ? `events of ${day(windows.from_ms[0])} to ${day(windows.from_ms[windows.from_ms.length - 1])}` : ''));
    const best = Object.entries(summary.models).filter(([name]) => name !== whole)
      .sort((a, b) => (b[1].all['recall@20'] || 0) - (a[1].all['recall@20'] || 0))[0];
    const tiles = make('div', { class: 'tiles' });
    for (const [value, label] of [
      [count(summary.events), 'events'],
      [count(Math.round(summary.events_per_s)), 'events a second, measured and learned'],
      [count(summary.models[whole].all.targets), 'targets scored'],
      [share(summary.models[whole].all['recall@20']), `recall@20 of ${whole}`],
      [best ? share(best[1].all['recall@20']) : 'n/a', best ? `of the best model alone: ${best[0]}` : ''],
    ]) tiles.append(make('div', { class: 'tile' }, make('b', {}, value), make('span', { class: 'faint' }, label)));
    report.append(tiles);
  }

  // ---- the models

  function drawModels() {
    const head = make('tr', {}, make('th', { rowspan: 2 }, 'model'));
    const under = make('tr', {});
    for (const [protocol] of PROTOCOLS) {
      head.append(make('th', { colspan: METRICS.length, class: 'group' }, protocol));
      for (const [, label] of METRICS) under.append(make('th', {}, label));
    }
    head.append(make('th', { rowspan: 2 }, 'weight'));
    head.append(make('th', { colspan: 2, class: 'group' }, 'cost, µs'));
    under.append(make('th', {}, 'event'), make('th', {}, 'list'));
    const rows = models.map((model) => {
      const row = make('tr', model === whole ? { class: 'whole' } : {}, make('td', {}, model));
      for (const [protocol] of PROTOCOLS) {
        for (const [metric] of METRICS) {
          const value = summary.models[model][protocol][metric];
          const top = Math.max(...models.map((m) => summary.models[m][protocol][metric] || 0));
          row.append(make('td', value > 0 && value === top ? { class: 'best' } : {}, share(value)));
        }
      }
      const weight = summary.models[model].blend_weight;
      row.append(make('td', {}, weight === undefined ? '' : weight.toFixed(3)));
      const cost = summary.models[model].cost;
      for (const name of ['learn_us_per_event', 'rank_us_per_list'])
        row.append(make('td', {}, cost && cost[name] > 0 ? cost[name].toFixed(1) : 'n/a'));
      return row;
    });
    section('Models', 'Each event is ranked before it is learned from. all: ' + PROTOCOLS[0][1] + '; new: ' + PROTOCOLS[1][1] + '. weight: in the blend. '
      + 'cost: time that the model takes to learn an event and to rank a list, of this machine and run.',
      make('div', { class: 'wide' }, make('table', {}, make('thead', {}, head, under), make('tbody', {}, ...rows))));
  }

  // ---- over time

  function drawTime() {
    // Windows with few targets say little by themselves: neighbours are taken together, so that each point
    // stands for about the same number of targets.
    const POINTS = 48;
    const pooled = (values) => {
      const total = (values.targets || []).reduce((sum, n) => sum + (n || 0), 0);
      const points = [];
      let hits = 0, targets = 0, from = null;
      windows.from_ms.forEach((x, i) => {
        const n = values.targets[i] || 0;
        from = from === null ? x : from;
        hits += n * (values.recall[i] || 0);
        targets += n;
        if (targets > 0 && (targets >= total / POINTS || i === windows.from_ms.length - 1)) {
          points.push({ x: (from + x) / 2, y: hits / targets });
          hits = targets = 0;
          from = null;
        }
      });
      return points;
    };
    const over = make('div', { class: 'two' });
    section('Over time', `Recall@20 over event time, in up to ${POINTS} parts of about as many targets each.`, over);
    for (const [protocol, text] of PROTOCOLS) {
      const box = make('div', {}, make('p', { class: 'faint' }, `${protocol}: ${text}`));
      over.append(box);
      plot(box, 'line', scales((x) => day(x), 'recall@20', 4), models.map((model) => {
        return line(model, pooled((windows.models[model] || {})[protocol] || { recall: [], targets: [] }));
      }));
    }
  }

  // ---- how much log is enough

  function drawGrowth() {
    const growth = section('How much of the log is enough', 'Recall@20 (all) over everything up to then: where the lines are flat, more of the same log would not change the verdict.');
    plot(growth, 'line', scales((x) => count(x), 'recall@20 so far', 6), models.map((model) => {
      const values = (windows.models[model] || {}).all || { recall: [], targets: [] };
      let hits = 0, targets = 0, events = 0;
      return line(model, windows.events.map((n, i) => {
        events += n;
        hits += (values.recall[i] || 0) * (values.targets[i] || 0);
        targets += values.targets[i] || 0;
        return { x: events, y: targets > 0 ? hits / targets : null };
      }).filter((p) => p.y !== null));
    }));
  }

  // ---- what the lists are like

  function drawLists() {
    const NAMES = {
      lists: 'lists', items: 'items recommendable', head_items: 'of them in the head (80 % of acts)', coverage: 'coverage of the items',
      gini: 'Gini of exposure', shannon: 'Shannon entropy of exposure, bit', arp: 'mean popularity of an item, users',
      aclt: 'tail items a list', aplt: 'tail share of a list', epc: 'expected popularity complement', novelty: 'novelty, bit',
      popreo: 'PopREO: head against tail, 0 is fair', poprsp: 'PopRSP: the same of what is shown',
      ils: 'similarity of the items of a list', unexpectedness: 'unexpectedness: 1 less similarity to what its user had',
    };
    const segmentsTable = (segments) => {
      const names = ['recall@20', 'ndcg@20', 'rr@20'];
      const top = make('tr', {}, ...['acts of', 'acts', 'with a list', 'recall@20', 'nDCG@20', 'MRR@20'].map((t) => make('th', {}, t)));
      return make('table', {}, make('thead', {}, top), make('tbody', {}, ...segments.map((s) => make('tr', {},
        make('td', {}, s.segment), make('td', {}, count(s.acts)), make('td', {}, share(s.listed)),
        ...names.map((n) => make('td', {}, measured(s[n])))))));
    };
    const listsOf = (measures) => {
      const body = make('tbody', {});
      const row = (name, value) => body.append(make('tr', {}, make('td', {}, name), make('td', {}, value === null ? 'n/a' : figure(value))));
      for (const [name, label] of Object.entries(NAMES)) if (name in measures.shown) row(label, measures.shown[name]);
      const fair = measures.shown.item_fairness.corrected;
      for (const [name, value] of Object.entries(fair)) row(`fairness to items, corrected ${name}`, value);
      row('churn: what a new list changes of the last', measures.counts.churn);
      return make('table', {}, body);
    };
    if (summary.measures && summary.measures.shown.lists > 0) {
      const percent = Math.round(100 * summary.measures.level);
      section('The lists as served', `Each act is judged against the list that was in force before it; ${percent} % intervals over users. `
        + `Lists are renewed at commits, every ${count(summary.replay.commit_events)} events here.`,
        make('div', { class: 'wide' }, segmentsTable(summary.measures.segments)));
      const by = { catalogue: ' Items are compared by the catalogue\'s vectors.', users: ' Items are compared by who acted on them.' }[summary.measures.shown.vectors] || '';
      section('What the lists are like', 'Over all lists of the replay.' + by, make('div', { class: 'wide' }, listsOf(summary.measures)));
    }
  }

  // ---- lists of one moment against all that follows

  function drawSplit() {
    const split = summary.measures && summary.measures.split;
    if (!split || !(split.users > 0)) return;
    const names = ['precision', 'recall', 'f1', 'map', 'ndcg', 'mrr', 'hit_rate', 'epc', 'efd'];
    const at = (cut) => make('tr', {}, make('td', {}, `@${cut}`), ...names.map((n) => make('td', {}, share((split[`${n}@${cut}`] || { value: null }).value))));
    const part = section('The lists at the split', `The lists in force at ${new Date(split.from_ms).toISOString().slice(0, 16)}Z against all that ${count(split.users)} users did after it.`,
      make('div', { class: 'wide' }, make('table', {}, make('thead', {}, make('tr', {}, ...['', ...names].map((n) => make('th', {}, n)))),
        make('tbody', {}, ...[5, 10, 20].map(at)))));
    const d = split.dpfr;
    if (!d || d.distance === null) return;
    part.append(make('p', {}, `Distance to the Pareto frontier (DPFR) ${share(d.distance)}: nDCG@${d.places} ${share(d.lists.relevance)} and fairness to items ${share(d.lists.fairness)}; `
      + `in the middle of what is possible ${share(d.reference.relevance)} and ${share(d.reference.fairness)}.`));
    const points = (list) => list.map((p) => ({ x: p.relevance, y: p.fairness }));
    plot(part, 'scatter', {
      interaction: { mode: 'nearest', intersect: false },
      scales: { x: { title: { display: true, text: `nDCG@${d.places}` } }, y: { title: { display: true, text: 'fairness to items' } } },
    }, [
      { label: 'what is possible', data: points(d.frontier), showLine: true, borderColor: '#4269d0', backgroundColor: '#4269d0', borderWidth: 4, pointRadius: 4 },
      { label: 'its middle', data: points([d.reference]), borderColor: '#efb118', backgroundColor: '#efb118', pointRadius: 11 },
      { label: 'the lists', data: points([d.lists]), borderColor: '#ff725c', backgroundColor: '#ff725c', pointRadius: 11 },
    ]);
  }

  // ---- configurations side by side

  const signed = (x) => (x === null ? 'n/a' : (x < 0 ? '−' : '+') + share(Math.abs(x)));
  const certain = (d) => d.low !== null && (d.low > 0 || d.high < 0);
  const difference = (d) => make('td', certain(d) ? { class: 'best' } : {}, `${signed(d.value)} (${signed(d.low)} to ${signed(d.high)})`);

  function drawSensitivity(part, perturbed) {
    const { rbo_p: p, rbo_places: places, jaccard_places: cut } = perturbed[0].sensitivity;
    part.append(make('p', { class: 'faint' }, `Rank-list sensitivity: how alike a user's list at the end is to the one learned from the log as it is, `
      + `mean over users; 1 is the same. RBO with p = ${p}, ${places} places.`),
    make('div', { class: 'wide' }, make('table', {},
      make('thead', {}, make('tr', {}, ...['what was changed', 'acts', 'users', 'RLS-RBO', `RLS-Jaccard@${cut}`].map((t) => make('th', {}, t)))),
      make('tbody', {}, ...perturbed.map((c) => make('tr', {}, make('td', {}, c.configuration), make('td', {}, count(c.sensitivity.acts_changed)),
        make('td', {}, count(c.sensitivity.users)), make('td', {}, measured(c.sensitivity.rls_rbo)), make('td', {}, measured(c.sensitivity.rls_jaccard))))))));
  }

  function drawSweep() {
    const { configurations, metric, level } = data.sweep;
    const was = configurations.find((c) => c.number === 0);
    const others = configurations.filter((c) => c.number !== 0);
    const perturbed = others.filter((c) => c.sensitivity);
    const title = perturbed.length > 0 ? 'The log changed a little' : others.length === 1 ? 'What if' : 'Configurations side by side';
    const part = section(title,
      `The same ${count(Math.max(...configurations.map((c) => c.events)))} events, learned ${perturbed.length > 0 ? 'as they are and changed' : 'under each configuration'}. Differences are paired by user, `
      + `with ${Math.round(100 * (level || 0.95))} % intervals; those without 0 stand out.`);
    plot(part, 'bar', {
      indexAxis: 'y',
      plugins: { legend: { display: false } },
      scales: { x: { title: { display: true, text: `${metric}: more than as configured, with intervals` } }, y: { ticks: { autoSkip: false } } },
    }, [
      { label: 'interval', data: others.map((c) => [c.more_than_as_configured[metric].low, c.more_than_as_configured[metric].high]),
        backgroundColor: '#97bbf5', barPercentage: 0.5, order: 2 },
      { label: 'difference', type: 'line', data: others.map((c) => ({ x: c.more_than_as_configured[metric].value, y: `${c.number}` })), showLine: false,
        borderColor: '#111827', backgroundColor: '#111827', pointRadius: 4, order: 1 },
    ], others.map((c) => `${c.number}`), 90 + 24 * others.length);
    const columns = ['', 'configuration', metric, 'more than as configured', 'lists differ', 'RBO', 'coverage', 'Gini', 'events'];
    part.append(make('div', { class: 'wide' }, make('table', {},
      make('thead', {}, make('tr', {}, ...columns.map((t, i) => make('th', i === 1 ? { class: 'words' } : {}, t)))),
      make('tbody', {}, ...configurations.map((c) => make('tr', {}, make('td', {}, c.number), make('td', { class: 'words' }, c.configuration),
        make('td', {}, measured(c.metrics[metric])), c.number === 0 ? make('td', {}, '') : difference(c.more_than_as_configured[metric]),
        make('td', {}, c.lists.compared > 0 ? `${(100 * c.lists.differ / c.lists.compared).toFixed(1)} %` : ''), make('td', {}, c.lists.rbo === null ? '' : share(c.lists.rbo)),
        make('td', {}, share(c.shown.coverage)), make('td', {}, share(c.shown.gini)),
        make('td', {}, count(c.events) + (c.dropped ? ', dropped' : ''))))))));
    if (perturbed.length > 0) drawSensitivity(part, perturbed);
    if (others.length !== 1 || perturbed.length > 0) return;
    const [is] = others;
    part.append(make('div', { class: 'wide' }, make('table', {},
      make('thead', {}, make('tr', {}, ...['metric', 'as configured', 'what if', 'difference'].map((t) => make('th', {}, t)))),
      make('tbody', {}, ...Object.keys(was.metrics).map((name) => make('tr', {}, make('td', {}, name),
        make('td', {}, share(was.metrics[name].value)), make('td', {}, share(is.metrics[name].value)), difference(is.more_than_as_configured[name])))))));
  }

  // ---- what another policy would have earned

  function drawCalibration(part, c) {
    part.append(make('p', { class: 'faint' }, `Propensities: of ${count(c.judged)} items at their positions ${count(c.more_than_said)} are shown more and `
      + `${count(c.less_than_said)} less often than said, by more than four standard errors. Expected calibration error ${c.error.toFixed(6)}, by chance alone ${c.error_by_chance.toFixed(6)}.`),
    make('div', { class: 'wide' }, make('table', {},
      make('thead', {}, make('tr', {}, ...['propensity said', 'share shown', 'standard error', 'items'].map((t) => make('th', {}, t)))),
      make('tbody', {}, ...c.bins.map((b) => make('tr', {}, ...[b.said, b.shown, b.standard_error].map((x) => make('td', {}, x.toFixed(6))), make('td', {}, count(b.items))))))));
  }

  function drawEstimates() {
    const interval = (row) => row.bootstrap || row.student;
    const estimateName = (row) => row.estimator + (row.lambda === null ? '' : ` ${Number(row.lambda.toPrecision(3))}`);
    const estimatesTable = (ope) => make('table', {},
      make('thead', {}, make('tr', {}, ...['estimator', 'estimate', `${Math.round(100 * ope.level)} % interval`].map((t) => make('th', {}, t)))),
      make('tbody', {}, ...ope.estimates.map((row) => make('tr', {}, make('td', {}, estimateName(row)),
        make('td', {}, row.answered ? row.value.toFixed(6) : 'not answered'),
        make('td', {}, row.answered && interval(row) ? interval(row).map((x) => x.toFixed(6)).join(' – ') : '')))));
    const ope = data.ope;
    const rows = ope.estimates.filter((row) => row.answered && interval(row));
    const part = section('What another policy would have earned',
      `The policy: ${ope.policy}. The log ${ope.log}: ${count(ope.rounds)} rounds, ${count(ope.rewards)} rewarded, ${ope.logged.toFixed(6)} a round.`);
    if (ope.warnings.length > 0) part.append(make('ul', {}, ...ope.warnings.map((w) => make('li', {}, w.text))));
    if (rows.length > 0) {
      plot(part, 'bar', {
        indexAxis: 'y',
        plugins: { legend: { display: false } },
        scales: { x: { title: { display: true, text: 'reward a round: estimates with intervals' } }, y: { ticks: { autoSkip: false } } },
      }, [
        { label: 'interval', data: rows.map(interval), backgroundColor: '#97bbf5', barPercentage: 0.5, order: 2 },
        { label: 'estimate', type: 'line', data: rows.map((row, i) => ({ x: row.value, y: estimateName(row) })), showLine: false,
          borderColor: '#111827', backgroundColor: '#111827', pointRadius: 4, order: 1 },
      ], rows.map(estimateName), 90 + 20 * rows.length);
    }
    part.append(make('div', { class: 'wide' }, estimatesTable(ope)),
      make('p', { class: 'faint' }, `Effective sample size ${figure(ope.weights.effective)}, largest weight ${figure(ope.weights.max)}. `
        + 'dm is the opinion of a model of the rewards: no interval of it bounds its error.'));
    if (ope.calibration && ope.calibration.bins.length > 0) drawCalibration(part, ope.calibration);
  }

  // ---- what to know before believing it

  function drawNotes() {
    const c = summary.counters;
    const refused = Object.entries(c.refused_by_cause || {});
    const notes = make('ul', {},
      make('li', {}, `${count(c.read)} events were read, ${count(c.learned)} learned.`),
      make('li', {}, `${count(c.duplicate || 0)} were duplicates, ${count(c.late || 0)} late.`));
    notes.append(make('li', {}, refused.length === 0 ? 'None was refused.' : `Refused: ${refused.map(([name, n]) => `${count(n)} ${name}`).join(', ')}.`));
    notes.append(make('li', {}, `The first ${Math.round(100 * summary.replay.warmup)} % were learned from and not scored.`));
    section('Before you believe it', '', notes,
      make('p', { class: 'faint' }, `state ${summary.state_hash}, lists ${summary.lists_hash}: the same log, configuration and release give the same two numbers.`));
  }

  report.replaceChildren(make('h1', {}, summary ? 'Replay' : 'Configurations compared'));
  if (summary) [drawSummary, drawModels, drawTime, drawGrowth, drawLists, drawSplit].forEach((draw) => draw());
  if (data.sweep) drawSweep();
  if (data.ope) drawEstimates();
  if (summary) drawNotes();
})();
