// Tables, counted and shown through SQL, and the micro-batches of streams.

import { get, post } from "./api.js";
import { duration, facts, h, link, table, time } from "./dom.js";

const ROWS = 20;
const RECENT = 60_000; // a stream that committed so lately is taken to run
const asked = new Map(); // table and version -> what SQL answered

export function tables([name]) {
  return name ? oneTable(name) : tableList();
}

async function tableList() {
  const { tables: found } = await get("/local/tables");
  const draw = (data) => table("Tables", ["Name", "Version", "Changed"], data.map((each) => [
    link(each.name, "tables", each.name), String(each.version ?? ""), time(each.modified_at),
  ]), "No Delta tables yet.");
  return { title: "Tables", data: found, draw, active: false };
}

async function oneTable(name) {
  const found = (await get("/local/tables")).tables.find((each) => each.name === name);
  if (!found) return { title: name, data: null, draw: () => h("p", { class: "empty" }, "This table does not exist."), active: false };
  const key = `${name} ${found.version}`;
  if (!asked.has(key)) {
    asked.set(key, { waiting: true });
    query(name).then((answer) => asked.set(key, answer), (error) => asked.set(key, { problem: error.message }));
  }
  const answer = asked.get(key);
  return { title: name, data: { found, answer }, draw: drawTable, active: Boolean(answer.waiting) };
}

async function query(name) {
  const quoted = name.split(".").map((part) => `\`${part.replaceAll("`", "``")}\``).join(".");
  const schema = (await statement(`SELECT * FROM ${quoted} LIMIT 0`)).manifest.schema.columns ?? [];
  const newest = schema.find((each) => /^TIMESTAMP/.test(each.type_name));
  const order = newest ? ` ORDER BY \`${newest.name.replaceAll("`", "``")}\` DESC` : "";
  const rows = await statement(`SELECT * FROM ${quoted}${order} LIMIT ${ROWS}`);
  const count = await statement(`SELECT count(*) FROM ${quoted}`);
  return {
    columns: schema.map((each) => each.name),
    rows: rows.result?.data_array ?? [],
    count: Number(count.result.data_array[0][0]),
    newest: newest?.name,
  };
}

/** Run a statement on the first warehouse and wait for its end. */
async function statement(text) {
  const { warehouses } = await get("/api/2.0/sql/warehouses");
  const body = { warehouse_id: warehouses?.[0]?.id, statement: text, wait_timeout: "30s" };
  let answer = await post("/api/2.0/sql/statements", body);
  while (["PENDING", "RUNNING"].includes(answer.status.state)) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    answer = await get(`/api/2.0/sql/statements/${encodeURIComponent(answer.statement_id)}`);
  }
  if (answer.status.state !== "SUCCEEDED") throw new Error(answer.status.error?.message ?? answer.status.state);
  return answer;
}

function drawTable({ found, answer }) {
  const about = facts([
    ["Rows", answer.count?.toLocaleString()],
    ["Version", String(found.version ?? "")],
    ["Changed", time(found.modified_at)],
  ]);
  if (answer.problem) return [about, h("p", { class: "problem" }, answer.problem)];
  if (answer.waiting) return [about, h("p", { class: "empty", role: "status" }, "Querying … Spark may have to start first.")];
  const caption = answer.newest ? `Newest rows by ${answer.newest}` : "Some rows";
  const cells = (row) => row.map((cell) => (cell === null ? h("span", { class: "null" }, "null") : String(cell)));
  return [about, h("h2", {}, caption), table(caption, answer.columns, answer.rows.map(cells), "The table has no rows.")];
}

export async function streams() {
  const { streams: found } = await get("/local/streams");
  const lately = found.some((each) => Date.now() - (each.batches[0]?.committed_at ?? 0) < RECENT);
  return { title: "Streams", data: found, draw: drawStreams, active: lately };
}

function drawStreams(found) {
  if (!found.length) return h("p", { class: "empty" }, "No streaming query has a checkpoint in this workspace yet.");
  return found.map(({ checkpoint, batches }) => [
    h("h2", {}, checkpoint),
    table(`Latest micro-batches of ${checkpoint}`, ["Batch", "Planned", "Committed after", "Offsets"], batches.map((each) => [
      String(each.batch_id),
      time(each.planned_at),
      each.planned_at ? duration(each.committed_at - each.planned_at) : "",
      h("code", {}, each.offsets.join(" ")),
    ]), "No batches committed yet."),
  ]);
}
