// Runs: the list, and one run with its tasks, their output and errors.

import { Refused, all, get, post } from "./api.js";
import { act, address, badge, button, facts, h, isActive, link, runState, table, time, took } from "./dom.js";
import { graph, kind } from "./graph.js";
import { runTable } from "./jobs.js";

const SHOWN = 50;
const STYLES = /<style\b[^]*?<\/style>|\sstyle=("[^"]*"|'[^']*')/gi; // the page's policy forbids them, loudly

export function runs([id, task]) {
  return id ? run(id, task) : list();
}

async function list() {
  const found = await all("/api/2.2/jobs/runs/list", "runs", { limit: 25 }, SHOWN);
  return {
    title: "Runs",
    data: found.slice(0, SHOWN),
    draw: (data) => [runTable(data, {}), data.length === SHOWN && h("p", {}, `The newest ${SHOWN} are shown.`)],
    active: found.some(isActive),
  };
}

async function run(id, wanted) {
  const found = await get("/api/2.2/jobs/runs/get", { run_id: id });
  const tasks = found.tasks ?? [];
  const chosen = latest(tasks, wanted) ?? tasks.find((each) => each.state?.result_state === "FAILED")
    ?? tasks.find(isActive) ?? tasks.at(-1);
  const [output, cells] = chosen ? await Promise.all([outputOf(chosen), cellsOf(chosen)]) : [];
  const data = { found, tasks, chosen, output, cells };
  return { title: found.run_name || `Run ${id}`, data, draw: drawRun, active: isActive(found) };
}

function latest(tasks, key) {
  return tasks.filter((each) => each.task_key === key).at(-1);
}

async function outputOf(task) {
  try {
    return await get("/api/2.2/jobs/runs/get-output", { run_id: task.run_id });
  } catch (error) {
    if (error instanceof Refused && error.status !== 401) return { refused: error.message };
    throw error;
  }
}

/** The cells of a notebook's run. Its HTML is only read, in a document of its own: what is shown is text. */
async function cellsOf(task) {
  if (!task.notebook_task) return [];
  const exported = await get("/api/2.2/jobs/runs/export", { run_id: task.run_id }).catch(() => ({}));
  const content = (exported.views?.[0]?.content ?? "").replace(STYLES, "");
  const page = new DOMParser().parseFromString(content, "text/html");
  return [...page.querySelectorAll("section")].map((cell) => ({
    title: cell.querySelector("h3")?.textContent,
    code: cell.querySelector("code")?.textContent ?? "",
    shown: [...(cell.querySelector("div")?.children ?? [])].map((each) =>
      each.matches("table") ? { rows: [...each.rows].map((row) => [...row.cells].map((one) => one.textContent)) }
        : { text: each.textContent }),
  }));
}

function drawRun({ found, tasks, chosen, output, cells }) {
  const to = (task) => address("runs", found.run_id, task.task_key);
  const rows = tasks.map((task) => [
    h("a", { href: to(task), "aria-current": task === chosen && "true" }, task.task_key),
    kind(task),
    badge(runState(task)),
    took(task),
    String(task.attempt_number ?? 0),
    (task.depends_on ?? []).map((each) => each.task_key).join(", "),
  ]);
  return [
    isActive(found) && h("p", { class: "actions" }, cancel(found.run_id)),
    facts([
      ["State", badge(runState(found))],
      ["Run", String(found.run_id)],
      ["Job", found.job_id && link(String(found.job_id), "jobs", found.job_id)],
      ["Started", time(found.start_time)],
      ["Duration", took(found)],
      ["Parameters", (found.job_parameters ?? []).map((each) => `${each.name} = ${each.value ?? each.default}`).join(", ")],
    ]),
    !isActive(found) && found.state?.state_message && h("p", {}, found.state.state_message),
    h("h2", {}, "Tasks"),
    graph(tasks, to),
    table("Tasks", ["Task", "Type", "State", "Duration", "Retries", "Depends on"], rows, "No task has started."),
    chosen && taskPanel(chosen, output, cells),
  ];
}

function taskPanel(task, output, cells) {
  const result = output.notebook_output?.result ?? output.sql_output ?? output.run_job_output;
  const parts = [
    ["Result", typeof result === "object" && result !== null ? JSON.stringify(result, null, 2) : result],
    ["Printed", output.logs],
  ].filter(([, text]) => text);
  const problem = output.error ?? output.refused;
  return h("section", { "aria-label": `Task ${task.task_key}` },
    h("h2", {}, task.task_key, " ", badge(runState(task))),
    facts([
      ["Started", time(task.start_time)],
      ["Task run", String(task.run_id)],
      ["Cluster", task.cluster_instance?.cluster_id],
    ]),
    !isActive(task) && task.state?.state_message && h("p", {}, task.state.state_message),
    problem && h("p", { class: "problem" }, problem),
    output.error_trace && [h("h3", {}, "Trace"), h("pre", { class: "trace", tabindex: "0" }, plain(output.error_trace))],
    parts.map(([heading, text]) => [h("h3", {}, heading), h("pre", { tabindex: "0" }, plain(text))]),
    (output.logs_truncated || output.notebook_output?.truncated) && h("p", {}, "The output is truncated."),
    cells.length > 0 && [h("h3", {}, "Notebook"), cells.map(drawCell)],
    !problem && !parts.length && !cells.length && h("p", { class: "empty" }, isActive(task) ? "Nothing printed yet." : "It printed nothing."));
}

function drawCell({ title, code, shown }) {
  return h("div", { class: "cell" },
    title && h("h4", {}, title),
    h("pre", { tabindex: "0" }, code),
    shown.map((each) => (each.rows ? table(title ?? "Rows", each.rows[0] ?? [], each.rows.slice(1), "No rows.")
      : each.text && h("pre", { class: "shown", tabindex: "0" }, plain(each.text)))));
}

/** Text without the colours that a terminal would show. */
function plain(text) {
  return String(text).replace(/\u001b\[[0-9;]*m/g, "");
}

function cancel(id) {
  return button("Cancel", () => act(() => post("/api/2.2/jobs/runs/cancel", { run_id: id })), { class: "danger" });
}
