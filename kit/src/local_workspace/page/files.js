// Files: the workspace's own, DBFS and volumes, each as a tree to walk.

import { bytes, get } from "./api.js";
import { address, h, link, size, table, time } from "./dom.js";

const SHOWN_BYTES = 512 * 1024;
const ROOTS = { workspace: "Workspace", dbfs: "DBFS", volumes: "Volumes" };

const LISTING = {
  async workspace(path) {
    const { objects } = await get("/api/2.0/workspace/list", { path });
    return (objects ?? []).map((each) => ({
      path: each.path, kind: each.object_type, size: each.size, modified: each.modified_at, language: each.language,
    }));
  },
  async dbfs(path) {
    const { files } = await get("/api/2.0/dbfs/list", { path });
    return (files ?? []).map((each) => ({
      path: each.path, kind: each.is_dir ? "DIRECTORY" : "FILE", size: each.is_dir ? undefined : each.file_size,
      modified: each.modification_time,
    }));
  },
  async volumes(path) {
    const { contents } = await get(`/api/2.0/fs/directories/Volumes${escaped(path)}`);
    return (contents ?? []).map((each) => ({
      path: each.path.slice("/Volumes".length), kind: each.is_directory ? "DIRECTORY" : "FILE", size: each.file_size,
      modified: each.last_modified,
    }));
  },
};

const CONTENT = {
  workspace: (path) => bytes("/api/2.0/workspace/export", { path, format: "AUTO", direct_download: true }),
  dbfs: readInPieces,
  volumes: (path) => bytes(`/api/2.0/fs/files/Volumes${escaped(path)}`),
};

/** DBFS gives 1 MB at a time, base64. */
async function readInPieces(path) {
  const pieces = [];
  let offset = 0;
  let read;
  do {
    read = await get("/api/2.0/dbfs/read", { path, offset, length: 1024 * 1024 });
    pieces.push(Uint8Array.from(atob(read.data), (letter) => letter.charCodeAt(0)));
    offset += read.bytes_read;
  } while (read.bytes_read > 0);
  return new Blob(pieces);
}

export async function files([root = "workspace", ...parts]) {
  if (!Object.hasOwn(ROOTS, root)) root = "workspace";
  const path = "/" + parts.join("/");
  const listed = await LISTING[root](path).catch((error) => {
    if (error.status === 404 && root === "volumes") return path === "/" ? [] : null;
    throw error;
  });
  const alone = listed === null || (listed.length === 1 && listed[0].path === path && listed[0].kind !== "DIRECTORY");
  const content = alone ? await opened(root, path) : undefined;
  const data = { root, parts, listed: listed ?? [], alone, content };
  return { title: "Files", data, draw, active: false };
}

async function opened(root, path) {
  const blob = await CONTENT[root](path);
  const head = await blob.slice(0, SHOWN_BYTES).arrayBuffer();
  let text = null;
  try {
    text = new TextDecoder("utf-8", { fatal: blob.size <= SHOWN_BYTES }).decode(head);
    if (text.includes("\0")) text = null;
  } catch {
    text = null; // not text: it can only be downloaded
  }
  return { size: blob.size, text };
}

function draw({ root, parts, listed, alone, content }) {
  const tabs = Object.entries(ROOTS).map(([name, title]) =>
    h("a", { href: address("files", name), "aria-current": name === root && "page" }, title));
  return [
    h("nav", { class: "tabs", "aria-label": "Kind of files" }, tabs),
    crumbs(root, parts),
    alone ? drawFile(root, parts, content) : drawFolder(root, listed),
  ];
}

function crumbs(root, parts) {
  const steps = parts.map((part, index) => [
    h("span", { "aria-hidden": "true" }, " / "),
    link(part, "files", root, ...parts.slice(0, index + 1)),
  ]);
  return h("nav", { class: "crumbs", "aria-label": "Path" }, link(ROOTS[root], "files", root), steps);
}

function drawFolder(root, listed) {
  const folders = (each) => (["DIRECTORY", "REPO"].includes(each.kind) ? 0 : 1);
  const sorted = listed.toSorted((one, two) => folders(one) - folders(two) || one.path.localeCompare(two.path));
  return table("Contents", ["Name", "Kind", "Size", "Changed"], sorted.map((each) => {
    const steps = each.path.split("/").filter(Boolean);
    const name = steps.at(-1) + (folders(each) ? "" : "/");
    const what = [each.language, each.kind].filter(Boolean).join(" ").toLowerCase();
    return [link(name, "files", root, ...steps), what, size(each.size), time(each.modified)];
  }), "Nothing here yet.");
}

function drawFile(root, parts, content) {
  const path = "/" + parts.join("/");
  const save = async () => {
    const url = URL.createObjectURL(await CONTENT[root](path));
    h("a", { href: url, download: parts.at(-1) }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  const cut = content.text !== null && content.size > SHOWN_BYTES && `The first ${size(SHOWN_BYTES)} are shown.`;
  return [
    h("p", { class: "actions" }, h("button", { type: "button", onclick: save }, "Download"), ` ${size(content.size)}. `, cut),
    content.text === null ? h("p", { class: "empty" }, "The file is not text.") : h("pre", { tabindex: "0" }, content.text),
  ];
}

function escaped(path) {
  return path.split("/").map((part) => encodeURIComponent(part)).join("/");
}
