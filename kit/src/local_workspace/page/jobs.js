// Jobs: the list with "Run now", and one job with its tasks, settings and runs.

import { all, get, post } from "./api.js";
import { act, address, badge, button, facts, h, isActive, json, link, runState, table, time, took } from "./dom.js";
import { graph, kind } from "./graph.js";

export function jobs([id]) {
  return id ? job(id) : list();
}

async function list() {
  const [found, recent] = await Promise.all([
    all("/api/2.2/jobs/list", "jobs", { limit: 100, expand_tasks: true }),
    get("/api/2.2/jobs/runs/list", { limit: 25 }),
  ]);
  const runs = recent.runs ?? [];
  const latest = Object.fromEntries(runs.toReversed().map((run) => [run.job_id, run]));
  return { title: "Jobs", data: { found, latest }, draw: drawList, active: runs.some(isActive) };
}

function drawList({ found, latest }) {
  const rows = found.map(({ job_id: id, settings }) => [
    link(settings.name, "jobs", id),
    tasks(settings),
    schedule(settings),
    latest[id] && h("a", { href: address("runs", latest[id].run_id) }, badge(runState(latest[id]))),
    runNow(id, settings.name),
  ]);
  const empty = "No jobs yet. `devkit deploy apply` creates those that configuration/deploy declares.";
  return table("Jobs", ["Name", "Tasks", "Schedule", "Latest run", ""], rows, empty);
}

async function job(id) {
  const [found, recent] = await Promise.all([
    get("/api/2.2/jobs/get", { job_id: id }),
    get("/api/2.2/jobs/runs/list", { job_id: id, limit: 20 }),
  ]);
  const runs = recent.runs ?? [];
  return { title: found.settings.name, data: { found, runs }, draw: drawJob, active: runs.some(isActive) };
}

function drawJob({ found, runs }) {
  const { settings } = found;
  const parameters = (settings.parameters ?? []).map((each) => `${each.name} = ${each.default}`).join(", ");
  return [
    h("p", { class: "actions" }, runNow(found.job_id, settings.name)),
    facts([
      ["Job", String(found.job_id)],
      ["Schedule", schedule(settings)],
      ["Parameters", parameters],
      ["Owner", found.creator_user_name],
      ["Tags", Object.entries(settings.tags ?? {}).map(([name, value]) => `${name}: ${value}`).join(", ")],
    ]),
    h("h2", {}, "Tasks"),
    graph(settings.tasks ?? [], () => undefined),
    table("Tasks", ["Task", "Type", "Depends on"], (settings.tasks ?? []).map((task) => [
      task.task_key,
      kind(task),
      (task.depends_on ?? []).map((each) => each.task_key).join(", "),
    ]), "No tasks."),
    h("h2", {}, "Runs"),
    runTable(runs),
    h("details", { "data-key": "settings" }, h("summary", {}, "Settings"), json(settings)),
  ];
}

/** A table of runs; `names` gives the job's name where it is not plain from the place. */
export function runTable(runs, names) {
  const rows = runs.map((run) => [
    link(String(run.run_id), "runs", run.run_id),
    ...(names ? [run.run_name || names[run.job_id] || ""] : []),
    badge(runState(run)),
    time(run.start_time),
    took(run),
  ]);
  return table("Runs", ["Run", ...(names ? ["Job"] : []), "State", "Started", "Duration"], rows, "No runs yet.");
}

function runNow(id, name) {
  const start = () => act(async () => {
    const { run_id: run } = await post("/api/2.2/jobs/run-now", { job_id: id, idempotency_token: crypto.randomUUID() });
    location.hash = address("runs", run);
  });
  return button("Run now", start, { "aria-label": `Run now: ${name}`, "data-key": `run ${id}` });
}

function tasks(settings) {
  const kinds = [...new Set((settings.tasks ?? []).map(kind))];
  return `${(settings.tasks ?? []).length} (${kinds.join(", ")})`;
}

function schedule({ schedule: cron, trigger, continuous }) {
  if (cron) return `${cron.quartz_cron_expression} ${cron.timezone_id}${cron.pause_status === "PAUSED" ? ", paused" : ""}`;
  if (trigger) return "trigger";
  return continuous ? "continuous" : "manual";
}
