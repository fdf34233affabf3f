// Clusters and pipelines.

import { all, get, post } from "./api.js";
import { act, badge, button, facts, h, json, link, table, time } from "./dom.js";

const MOVING = ["PENDING", "RESTARTING", "RESIZING", "TERMINATING"];

export function clusters([id]) {
  return id ? cluster(id) : clusterList();
}

async function clusterList() {
  const found = await all("/api/2.1/clusters/list", "clusters", { page_size: 100 });
  const draw = (data) => table("Clusters", ["Name", "State", "Runtime", "Workers", "Node type", "Source"], data.map((each) => [
    link(each.cluster_name ?? each.cluster_id, "clusters", each.cluster_id),
    badge(each.state),
    each.spark_version ?? "",
    workers(each),
    each.node_type_id ?? "",
    (each.cluster_source ?? "").toLowerCase(),
  ]), "No clusters yet.");
  return { title: "Clusters", data: found, draw, active: found.some((each) => MOVING.includes(each.state)) };
}

async function cluster(id) {
  const found = await get("/api/2.1/clusters/get", { cluster_id: id });
  const { events } = await post("/api/2.1/clusters/events", { cluster_id: id, limit: 50 });
  const data = { found, events: events ?? [] };
  return { title: found.cluster_name ?? id, data, draw: drawCluster, active: MOVING.includes(found.state) };
}

function drawCluster({ found, events }) {
  const change = (verb) => () => act(() => post(`/api/2.1/clusters/${verb}`, { cluster_id: found.cluster_id }));
  return [
    h("p", { class: "actions" },
      found.state === "TERMINATED" && button("Start", change("start")),
      found.state === "RUNNING" && [button("Restart", change("restart")), button("Terminate", change("delete"), { class: "danger" })]),
    facts([
      ["State", badge(found.state)],
      ["Cluster", found.cluster_id],
      ["Runtime", found.spark_version],
      ["Workers", workers(found)],
      ["Node type", found.node_type_id],
      ["Tags", Object.entries(found.custom_tags ?? {}).map(([name, value]) => `${name}: ${value}`).join(", ")],
    ]),
    found.state_message && h("p", {}, found.state_message),
    h("h2", {}, "Events"),
    table("Events", ["When", "What"], events.map((each) => [time(each.timestamp), badge(each.type)]), "No events yet."),
    h("details", { "data-key": "settings" }, h("summary", {}, "Settings"), json(found)),
  ];
}

function workers({ autoscale, num_workers: fixed }) {
  return autoscale ? `${autoscale.min_workers} to ${autoscale.max_workers}` : String(fixed ?? 0);
}

export function pipelines([id]) {
  return id ? pipeline(id) : pipelineList();
}

async function pipelineList() {
  const found = await all("/api/2.0/pipelines", "statuses", { max_results: 100 });
  const draw = (data) => table("Pipelines", ["Name", "State", "Latest update"], data.map((each) => [
    link(each.name, "pipelines", each.pipeline_id),
    badge(each.state),
    badge(each.latest_updates?.[0]?.state),
  ]), "No pipelines yet.");
  return { title: "Pipelines", data: found, draw, active: found.some((each) => each.state !== "IDLE") };
}

async function pipeline(id) {
  const path = `/api/2.0/pipelines/${encodeURIComponent(id)}`;
  const [found, { updates }, { events }] = await Promise.all([
    get(path), get(`${path}/updates`), get(`${path}/events`, { max_results: 250 }),
  ]);
  const data = { found, updates: updates ?? [], events: events ?? [] };
  return { title: found.name, data, draw: drawPipeline, active: found.state !== "IDLE" };
}

// What an update has done to each table so far, from its events, which come newest first.
function progress(events, update) {
  const found = new Map();
  for (const { origin, details } of events.toReversed()) {
    const flow = details?.flow_progress;
    if (!flow || origin.update_id !== update) continue;
    const one = found.get(origin.dataset_name) ?? { rows: 0, dropped: 0, rules: new Map() };
    found.set(origin.dataset_name, one);
    one.status = flow.status;
    one.rows += flow.metrics?.num_output_rows ?? flow.metrics?.num_upserted_rows ?? 0;
    one.dropped += flow.data_quality?.dropped_records ?? 0;
    for (const rule of flow.data_quality?.expectations ?? []) {
      const [passed, failed] = one.rules.get(rule.name) ?? [0, 0];
      one.rules.set(rule.name, [passed + rule.passed_records, failed + rule.failed_records]);
    }
  }
  return [...found].map(([name, { status, rows, dropped, rules }]) => [
    name, badge(status), String(rows), String(dropped),
    [...rules].map(([rule, [passed, failed]]) => `${rule}: ${passed}, ${failed}`).join("; "),
  ]);
}

function drawPipeline({ found, updates, events }) {
  const path = `/api/2.0/pipelines/${encodeURIComponent(found.pipeline_id)}`;
  const update = (body) => () => act(() => post(`${path}/updates`, body));
  const sources = (found.spec?.libraries ?? []).map((each) => each.notebook?.path ?? each.file?.path ?? each.glob?.include);
  const starts = [
    button("Start update", update({})),
    button("Full refresh", update({ full_refresh: true }), { class: "quiet" }),
    button("Validate", update({ validate_only: true }), { class: "quiet" }),
  ];
  return [
    h("p", { class: "actions" },
      ...(found.state === "IDLE" ? starts : [button("Stop", () => act(() => post(`${path}/stop`, {})))])),
    facts([
      ["State", badge(found.state)],
      ["Pipeline", found.pipeline_id],
      ["Sources", sources.join(", ")],
      ["Runs as", found.run_as_user_name],
      ["Changed", time(found.last_modified)],
    ]),
    h("h2", {}, "Updates"),
    table("Updates", ["Update", "State", "Cause", "Started"], updates.map((each) => [
      each.update_id, badge(each.state), (each.cause ?? "").toLowerCase().replaceAll("_", " "), time(each.creation_time),
    ]), "No updates yet."),
    h("h2", {}, "Tables"),
    table("Tables", ["Table", "State", "Rows", "Dropped", "Expectations: passed, failed"],
      progress(events, updates[0]?.update_id), "Nothing was computed yet."),
    h("h2", {}, "Events"),
    table("Events", ["When", "Level", "What"], events.map((each) => [
      time(Date.parse(each.timestamp)), badge(each.level),
      [each.message, ...(each.error?.exceptions ?? []).map((one) => one.message)].join(": "),
    ]), "No events yet."),
    h("details", { "data-key": "settings" }, h("summary", {}, "Settings"), json(found.spec)),
  ];
}

