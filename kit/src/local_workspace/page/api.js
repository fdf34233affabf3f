// The REST API of the workspace. The token is kept here, in memory, and nowhere else.

let token = "";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function signIn(given) {
  token = given.trim();
}

export function isSignedIn() {
  return token !== "";
}

export function get(path, query = {}) {
  return send("GET", path, query).then((response) => response.json());
}

export function post(path, body) {
  return send("POST", path, {}, body).then((response) => response.json());
}

export function bytes(path, query = {}) {
  return send("GET", path, query).then((response) => response.blob());
}

/** Read a listing to its end, or to `most` items. */
export async function all(path, name, query = {}, most = 1000) {
  const items = [];
  let page = {};
  do {
    page = await get(path, { ...query, page_token: page.next_page_token });
    items.push(...(page[name] ?? []));
  } while (page.next_page_token && items.length < most);
  return items;
}

async function send(method, path, query, body) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  const response = await fetch(url, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem.error_code, problem.message ?? response.statusText);
}
