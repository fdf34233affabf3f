// The tasks of a job or run as a small drawing: dependencies go from left to right.

import { runState, svg } from "./dom.js";

const WIDTH = 176;
const HEIGHT = 44;
const ACROSS = 56;
const DOWN = 16;

/** Tell what a task does: "notebook", "spark python", "for each". */
export function kind(task) {
  const name = Object.keys(task).find((each) => each.endsWith("_task") && each !== "gen_ai_compute_task") ?? "";
  return name.replace("_task", "").replaceAll("_", " ");
}

/** Draw tasks; `to` gives the address behind one, or undefined. */
export function graph(tasks, to) {
  const places = arranged(tasks);
  if (tasks.length < 2) return "";
  const edge = 2;
  const right = Math.max(...[...places.values()].map((place) => place.x)) + WIDTH + edge;
  const bottom = Math.max(...[...places.values()].map((place) => place.y)) + HEIGHT + edge;
  const words = tasks.map((task) => `${task.task_key} ${state(task)}`.trim()).join(", ");
  const lines = tasks.flatMap((task) => (task.depends_on ?? [])
    .filter((each) => places.has(each.task_key))
    .map((each) => line(places.get(each.task_key), places.get(task.task_key))));
  const boxes = tasks.map((task) => box(task, places.get(task.task_key), to(task)));
  const view = `${-edge} ${-edge} ${right + edge} ${bottom + edge}`;
  const size = { width: right + edge, height: bottom + edge, viewBox: view };
  return svg("svg", { class: "graph", role: "group", "aria-label": `Tasks: ${words}`, ...size }, lines, boxes);
}

function arranged(tasks) {
  const byKey = new Map(tasks.map((task) => [task.task_key, task]));
  const columns = new Map();
  const column = (key, above = new Set()) => {
    if (columns.has(key)) return columns.get(key);
    const before = (byKey.get(key)?.depends_on ?? []).map((each) => each.task_key)
      .filter((each) => byKey.has(each) && !above.has(each));
    const found = Math.max(0, ...before.map((each) => column(each, new Set([...above, key])) + 1));
    columns.set(key, found);
    return found;
  };
  const used = new Map();
  const places = new Map();
  for (const key of byKey.keys()) {
    const x = column(key);
    const y = used.get(x) ?? 0;
    used.set(x, y + 1);
    places.set(key, { x: x * (WIDTH + ACROSS), y: y * (HEIGHT + DOWN) });
  }
  return places;
}

function line(from, to) {
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const middle = (x1 + x2) / 2;
  return svg("path", { class: "edge", d: `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` });
}

function box(task, place, address) {
  const name = task.task_key.length > 21 ? `${task.task_key.slice(0, 20)}…` : task.task_key;
  const inside = [
    svg("title", {}, task.task_key),
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 7 }),
    svg("text", { x: 12, y: 19, class: "name" }, name),
    svg("text", { x: 12, y: 35, class: "state" }, state(task) || kind(task)),
  ];
  const attributes = { class: `task ${tone(runState(task))}`, transform: `translate(${place.x} ${place.y})` };
  return address ? svg("a", { ...attributes, href: address }, inside) : svg("g", attributes, inside);
}

function state(task) {
  return runState(task).toLowerCase().replaceAll("_", " ");
}

function tone(word) {
  if (word === "SUCCESS") return "good";
  if (["FAILED", "TIMEDOUT", "INTERNAL_ERROR", "UPSTREAM_FAILED"].includes(word)) return "bad";
  return ["RUNNING", "PENDING", "WAITING_FOR_RETRY", "TERMINATING"].includes(word) ? "moving" : "calm";
}
