// The page: sign in, choose the view that the address names, and draw it again while something runs.

import { Refused, get, isSignedIn, signIn } from "./api.js";
import { address, button, h, tick } from "./dom.js";
import { clusters, pipelines } from "./compute.js";
import { streams, tables } from "./data.js";
import { files } from "./files.js";
import { jobs } from "./jobs.js";
import { runs } from "./runs.js";

const VIEWS = { jobs, runs, clusters, pipelines, files, tables, streams };
const SOON = 1500; // while something runs
const LATER = 15000; // else
const main = document.getElementById("main");
const notice = document.getElementById("notice");
let shown = null; // what is drawn: { where, text }
let timer = 0;
let turn = 0;

/** Take the token out of the address, where it came from the command line, so that no history keeps it. */
function takeToken() {
  const found = /^#token=([^&]*)/.exec(location.hash);
  if (!found) return false;
  signIn(decodeURIComponent(found[1]));
  history.replaceState(null, "", "#/jobs");
  return true;
}

/** The view that the address names: `#/runs/7`, or a link as Databricks writes it. */
function place() {
  const here = location.hash.length > 1 ? location.hash.slice(1) : location.pathname;
  const parts = here.split("/").filter(Boolean).map(decodeURIComponent);
  const [, job, run] = /^\/?jobs?\/(\d+)(?:\/runs?\/(\d+))?/.exec(here) ?? [];
  if (job) return run ? ["runs", run] : ["jobs", job];
  return Object.hasOwn(VIEWS, parts[0] ?? "") ? parts : ["jobs"];
}

/** Draw the view that the address names, if anything about it changed. */
async function show() {
  clearTimeout(timer);
  if (!isSignedIn()) return askForToken("");
  const mine = ++turn;
  const where = place();
  if (shown?.where !== where.join("/")) {
    main.setAttribute("aria-busy", "true");
    notice.replaceChildren();
  }
  try {
    const view = await VIEWS[where[0]](where.slice(1));
    if (mine === turn) draw(where, view);
  } catch (error) {
    if (mine === turn) explain(error, where);
  }
  if (mine === turn && isSignedIn()) timer = setTimeout(show, document.querySelector("[data-soon]") ? SOON : LATER);
}

function draw(where, view) {
  const text = JSON.stringify([where, view.data]);
  notice.replaceChildren();
  main.removeAttribute("aria-busy");
  if (shown?.text === text) return;
  const moved = shown?.where !== where.join("/");
  shown = { where: where.join("/"), text };
  const kept = document.activeElement?.dataset?.key;
  const open = [...main.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key);
  main.replaceChildren(h("h1", {}, view.title), ...[view.draw(view.data)].flat(Infinity).filter(Boolean));
  main.toggleAttribute("data-soon", Boolean(view.active));
  document.title = `${view.title} · Local workspace`;
  for (const each of main.querySelectorAll("details[data-key]")) each.open ||= !moved && open.includes(each.dataset.key);
  const again = kept && [...main.querySelectorAll("[data-key]")].find((each) => each.dataset.key === kept);
  if (again) again.focus({ preventScroll: true });
  else if (moved) scrollTo(0, 0);
  navigate(where[0]);
}

function navigate(current) {
  const links = Object.keys(VIEWS).map((name) =>
    h("a", { href: address(name), "aria-current": name === current && "page" }, name[0].toUpperCase() + name.slice(1)));
  const navigation = document.getElementById("navigation");
  const focused = [...navigation.children].indexOf(document.activeElement);
  navigation.replaceChildren(...links);
  if (focused >= 0) links[focused].focus({ preventScroll: true });
}

function explain(error, where) {
  main.removeAttribute("aria-busy");
  if (error instanceof Refused && error.status === 401) return askForToken(error.message);
  const lost = !(error instanceof Refused);
  const problem = lost ? "The workspace does not answer. Is `devkit workspace up` still running?" : error.message;
  if (lost) console.warn(error);
  if (shown?.where === where.join("/")) {
    notice.replaceChildren(h("p", { class: "problem" }, problem));
    return;
  }
  shown = null;
  navigate(where[0]);
  main.replaceChildren(h("h1", {}, lost ? "No answer" : "The request failed"), h("p", { class: "problem" }, problem));
}

function askForToken(problem) {
  signIn("");
  shown = null;
  turn += 1;
  document.getElementById("navigation").replaceChildren();
  document.getElementById("user").replaceChildren();
  document.title = "Sign in · Local workspace";
  const field = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const enter = (event) => {
    event.preventDefault();
    signIn(field.value);
    begin();
  };
  main.replaceChildren(
    h("form", { class: "sign-in", onsubmit: enter },
      h("h1", {}, "Sign in"),
      h("p", {}, h("code", {}, "devkit workspace up"), " prints the token, and an address of this page that carries it."),
      problem && h("p", { class: "problem", role: "alert" }, problem),
      h("label", { for: "token" }, "Token"),
      field,
      h("button", { type: "submit", class: "main" }, "Open the workspace")));
  field.focus();
}

async function begin() {
  try {
    const me = await get("/api/2.0/preview/scim/v2/Me");
    document.getElementById("user").replaceChildren(me.userName, button("Sign out", () => askForToken(""), { class: "quiet" }));
  } catch (error) {
    if (error.status === 401) return askForToken(error.message);
  }
  return show();
}

function explainRefusal(error) {
  if (error.status === 401) askForToken(error.message);
  else notice.replaceChildren(h("p", { class: "problem" }, error.message));
}

addEventListener("done", show);
addEventListener("refused", (event) => explainRefusal(event.detail));
addEventListener("hashchange", () => (takeToken() ? begin() : show()));
setInterval(tick, 1000);
takeToken();
if (isSignedIn()) begin();
else askForToken("");
