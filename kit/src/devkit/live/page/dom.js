// Elements, times and sizes. Whatever comes from the workspace goes in as text, never as markup.

/** Make an element; `on…` attributes are listeners, and strings among the children are text. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table; `rows` are lists of cells, and `empty` is said when there is none. */
export function table(caption, headings, rows, empty) {
  if (!rows.length) return h("p", { class: "empty" }, empty);
  const head = h("tr", {}, headings.map((heading) => h("th", { scope: "col" }, heading)));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))));
  const made = h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, body));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption }, made);
}

/** Names with their values; what has no value is left out. */
export function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", {}, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function link(text, ...path) {
  return h("a", { href: address(...path) }, text);
}

export function address(...path) {
  return "#/" + path.map((part) => encodeURIComponent(part)).join("/");
}

export function button(text, action, attributes = {}) {
  return h("button", { type: "button", onclick: action, "data-key": text, ...attributes }, text);
}

/** Do what a button asks for, and tell the page whether it was done or refused. */
export async function act(work) {
  try {
    await work();
    dispatchEvent(new Event("done"));
  } catch (error) {
    dispatchEvent(new CustomEvent("refused", { detail: error }));
  }
}

const GOOD = new Set(["SUCCESS", "COMPLETED", "FINISHED"]);
const BAD = new Set([
  "FAILED", "TIMEDOUT", "INTERNAL_ERROR", "UPSTREAM_FAILED", "ERROR", "MAXIMUM_CONCURRENT_RUNS_REACHED",
  "SUCCESS_WITH_FAILURES", "UNHEALTHY",
]);
const MOVING = new Set([
  "RUNNING", "PENDING", "QUEUED", "BLOCKED", "WAITING", "WAITING_FOR_RETRY", "TERMINATING", "RESTARTING", "RESIZING",
  "STARTING", "STOPPING", "INITIALIZING", "SETTING_UP_TABLES", "RESETTING", "CREATED",
]);

/** The state of something, as a word with a colour. */
export function badge(state) {
  if (!state) return "";
  const kind = GOOD.has(state) ? "good" : BAD.has(state) ? "bad" : MOVING.has(state) ? "moving" : "calm";
  return h("span", { class: `badge ${kind}` }, state.toLowerCase().replaceAll("_", " "));
}

/** The word that matters of a run's or a task's state. */
export function runState(run) {
  return run.state?.result_state ?? run.state?.life_cycle_state ?? run.status?.state ?? "";
}

export function isActive(run) {
  return !["TERMINATED", "SKIPPED", "INTERNAL_ERROR"].includes(run.state?.life_cycle_state ?? "TERMINATED");
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function time(milliseconds) {
  if (!milliseconds) return "";
  const at = new Date(milliseconds);
  return h("time", { datetime: at.toISOString() }, WHEN.format(at));
}

export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long a run or task took; of one that still runs, a clock that `tick` moves on. */
export function took(run) {
  if (!run.start_time) return "";
  if (run.end_time) return duration(run.end_time - run.start_time);
  return isActive(run) ? h("span", { class: "clock", "data-since": run.start_time }, duration(Date.now() - run.start_time)) : "";
}

export function tick() {
  for (const clock of document.querySelectorAll(".clock")) {
    clock.textContent = duration(Date.now() - Number(clock.dataset.since));
  }
}

export function size(bytes) {
  if (bytes === undefined || bytes === null) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log2(bytes) / 10) : 0);
  return `${power ? (bytes / 1024 ** power).toFixed(1) : bytes} ${units[power]}`;
}

export function json(value) {
  return h("pre", {}, JSON.stringify(value, null, 2));
}
