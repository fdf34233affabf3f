// The streams of this machine: which there are, and of the chosen one what it does, as charts that go on.

import { badge, duration, facts, h, table, time } from "./dom.js";

const AGAIN = 2000; // milliseconds
const ALONE = 30; // seconds around a batch that is the only one
const CLIP = 3; // times the highest of the others: a first batch that is higher is left out of the scale
const COLOURS = ["#0b8a78", "#c2571a", "#3b6fd4", "#a23fa6", "#8a7a0b", "#c22f4b", "#5b6770", "#2c8f3f"];
const DASHES = [[], [8, 4], [2, 3], [12, 3, 3, 3]]; // of lines beyond the colours
const BADGES = { running: "RUNNING", stopped: "SUCCESS", failed: "FAILED", killed: "ERROR" };
const count = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const charts = new Map(); // by title: the names of its lines, and the chart
const [runs, head, places, rest, notice] = ["runs", "head", "charts", "rest", "notice"].map((id) => document.getElementById(id));
let drawn = ""; // what `rest` shows
let timer = 0;

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  return answer.ok ? answer.json() : null;
}

async function show() {
  clearTimeout(timer);
  try {
    const known = await get("streams");
    const asked = location.hash.slice(2);
    const chosen = known.some((run) => run.run === asked) ? asked : known[0]?.run;
    const run = chosen && (await get(`streams/${chosen}`));
    runs.replaceChildren(...known.map((each) => card(each, each.run === chosen)));
    notice.replaceChildren();
    places.hidden = Boolean(run?.watch);
    if (run?.watch) drawWatch(run);
    else if (run) draw(run);
    else head.replaceChildren(h("p", { class: "empty" }, "No stream has run yet. Start one: make stream"));
  } catch (error) {
    console.warn(error);
    notice.replaceChildren(h("p", {}, "The page has no answer. Does `devkit page` still run?"));
  }
  timer = setTimeout(show, AGAIN);
}

function card({ run, query, source, state, started, last }, isChosen) {
  return h("a", { href: `#/${run}`, "aria-current": isChosen && "true" },
    state_of(state),
    h("small", {}, named(query, source)),
    h("small", {}, time(Date.parse(started)), last && ` · ${count.format(last.total_events)} events`));
}

function state_of(state) {
  const made = badge(BADGES[state]);
  made.textContent = state;
  return made;
}

/** A query without a name is called by its source: an id tells nobody anything. */
function named(query, source) {
  return /^[0-9a-f-]{36}$/.test(query) ? source : query;
}

function spark(href, text) {
  return href && h("a", { href, target: "_blank", rel: "noreferrer" }, text);
}

function draw(run) {
  const { batches, reasons } = run;
  const last = batches.at(-1);
  head.replaceChildren(h("div", {},
    h("h1", {}, `${run.source} → ${run.output}`),
    run.error && h("p", { class: "problem" }, run.error),
    facts([
      ["State", state_of(run.state)],
      ["Events", last && count.format(last.total_events)],
      ["Rejected", last && count.format(last.total_rejected)],
      ["Events/s", last && count.format(Math.round(last.events_per_second))],
      ["Last batch", last && `${last.batch}, ${duration(last.batch_seconds * 1000)}`],
      ["Unread", last?.behind && count.format(Object.values(last.behind).reduce((sum, each) => sum + each, 0))],
      ["Started", time(Date.parse(run.started))],
      ["Process", String(run.pid)],
      ["Spark UI", spark(run.ui, "this query")],
    ])));
  const at = batches.map((batch) => Date.parse(batch.time) / 1000);
  chart("Events per second", at, { "events/s": batches.map((batch) => batch.events_per_second) });
  chart("Batch time, seconds", at, { seconds: batches.map((batch) => batch.batch_seconds) });
  const partitions = [...new Set(batches.flatMap((batch) => Object.keys(batch.behind ?? {})))].sort();
  chart("Lag by partition, events", at, lines(partitions, batches.map((batch) => batch.behind ?? {})), "The source tells no lag.");
  const total = {};
  for (const [, counted] of reasons) for (const name in counted) total[name] = (total[name] ?? 0) + counted[name];
  const names = Object.keys(total).sort((one, other) => total[other] - total[one]);
  const rejected = lines(names, reasons.map(([, counted]) => counted), 0);
  chart("Rejected by reason, events", reasons.map(([when]) => when / 1000), rejected,
    last?.total_rejected ? "Its tables are not on this machine, or tell of it no longer." : "Nothing rejected.");
  drawRest(run);
}

/** What `devkit watch` made of the last edit: values before → after, columns that came and went, rejects by reason. */
function drawWatch({ query, source, state, started, ui, watch }) {
  head.replaceChildren(
    h("h1", {}, query),
    watch.error ? h("p", { class: "problem" }, watch.error) : "",
    facts([["State", state_of(state)], ["Sample of", source], ["Last run", time(Date.parse(started))], ["Spark UI", spark(ui, "the warm Spark")]]));
  const cell = ([before, now]) => h("span", { title: now }, before !== null && [h("del", {}, before), " → "], now);
  rest.replaceChildren(...(watch.columns ? [
    h("h2", {}, watch.error ? "Before the mistake" : "Rows"),
    watch.schema.length ? h("pre", {}, watch.schema.join("\n")) : "",
    table("Rows", watch.columns, watch.rows.map((row) => row.map(cell)), "No rows."),
    h("p", {}, watch.line), h("p", {}, watch.rejected),
  ] : []));
  drawn = "";
}

function lines(names, values, absent = null) {
  return Object.fromEntries(names.map((name) => [name, values.map((each) => each[name] ?? absent)]));
}

/** Draw lines over time, on the chart that is there if it has the same ones. */
function chart(title, at, series, empty = "No batch yet.") {
  const names = Object.keys(series);
  const data = [at, ...Object.values(series)];
  let known = charts.get(title);
  if (!known) {
    const place = h("div", {}, h("p", { class: "empty" }, empty));
    const note = h("small", {});
    places.append(h("section", { "aria-label": title }, h("h2", {}, title, " ", note), place));
    known = { place, note, names: "", plot: null };
    charts.set(title, known);
    new ResizeObserver(() => known.plot?.setSize(size(known))).observe(place);
  }
  if (known.names === names.join() && known.plot) return known.plot.setData(data);
  known.plot?.destroy();
  known.plot = null;
  known.names = names.join();
  if (!names.length || !at.length) return known.place.replaceChildren(h("p", { class: "empty" }, empty));
  known.place.replaceChildren();
  known.plot = new uPlot(options(known, names), data, known.place);
}

function size({ place }) {
  return { width: place.clientWidth, height: 190 };
}

function options(known, names) {
  const style = getComputedStyle(document.documentElement);
  const axis = { stroke: style.getPropertyValue("--soft"), grid: { stroke: style.getPropertyValue("--line"), width: 1 }, ticks: { show: false } };
  const value = (_, each) => (each === null || each === undefined ? "–" : count.format(each));
  const dash = (index) => DASHES[Math.floor(index / COLOURS.length) % DASHES.length];
  return {
    ...size(known),
    cursor: { y: false },
    padding: [null, 28, null, null], // half of the last time
    scales: {
      x: { range: (plot, first, last) => (plot.data[0].length > 1 ? [first, last] : [first - ALONE, first + ALONE]) },
      y: { range: (plot) => [0, top(plot, known.note)] },
    },
    axes: [
      { ...axis, space: 80, values: (_, ticks, __, ___, step) => ticks.map((tick) => (step < 86400 ? clock : day).format(tick * 1000)) },
      { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => count.format(tick)) },
    ],
    legend: { markers: { dash: (_, index) => (dash(index - 1).length ? "dashed" : "solid") } },
    series: [
      { value: (_, seconds) => (seconds ? clock.format(seconds * 1000) : "–") },
      ...names.map((label, index) => ({
        label, value, width: 1.75, stroke: COLOURS[index % COLOURS.length], dash: dash(index), points: { size: 4 }, spanGaps: true,
      })),
    ],
  };
}

/** The top of a scale: a first batch, which is like no other, does not flatten the rest, and is told of instead. */
function top({ data: [, ...lines] }, note) {
  const [first, rest] = [0, 1].map((start) => Math.max(0, ...lines.flatMap((line) => line.slice(start, start ? undefined : 1))));
  const isClipped = lines[0].length > CLIP && rest > 0 && first > CLIP * rest;
  note.textContent = isClipped ? `the first, ${count.format(first)}, is beyond the scale` : "";
  return (isClipped ? rest : Math.max(first, rest) || 1) * 1.1;
}

function drawRest({ rows, config, run }) {
  const text = JSON.stringify([run, rows]);
  if (text === drawn) return;
  drawn = text;
  const wasOpen = rest.querySelector("details")?.open ?? false;
  const caption = rows && `Newest rows: ${rows.rows.length} of the ${count.format(rows.of)} of the latest batch`;
  const behind = rows ? rows.columns.indexOf("headers") + 1 : 0; // the user's own columns first
  const turned = (cells) => [...cells.slice(behind), ...cells.slice(0, behind)];
  const cell = (each) => (each === null ? h("span", { class: "null" }, "null") : h("span", { title: each }, each));
  rest.replaceChildren(
    h("h2", {}, caption ?? "Newest rows"),
    rows ? table(caption, turned(rows.columns), rows.rows.map((row) => turned(row).map(cell)), "No rows.")
      : h("p", { class: "empty" }, "No rows on this machine yet."),
    h("details", { open: wasOpen },
      h("summary", {}, "Configuration in force"),
      table("Configuration", ["Option", "Value", "From"], config, "None.")));
}

addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const each of charts.values()) each.names = "";
  show();
});
show();
