// Addresses of other programs, which stand in chat logs and runbooks, as ours.

import { dateTime } from "./format";

export interface Target {
  path: string;
  search: URLSearchParams;
}

const kPages: Record<string, string> = {
  "/": "/overview",
  "/search": "/traces",
  "/graph": "/query",
  "/cardinality": "/tsdb-status",
  "/classic/graph": "/query",
  "/dependencies": "/services",
  "/classic/alerts": "/alerts",
  "/classic/targets": "/targets",
};

/// Undefined for an address of our own.
export function targetOf(path: string, search: URLSearchParams, hash: string): Target | undefined {
  const page = kPages[path];
  if (page) return { path: page, search };
  if (path === "/vmui" || path === "/vmui/") return fromVmui(hash);
  if (path === "/objectives") {
    // Pyrra names an objective by a selector.
    const name = /__name__="([^"]+)"/.exec(search.get("expr") ?? "")?.[1];
    return { path: name ? `/slos/${encodeURIComponent(name)}` : "/slos", search: new URLSearchParams() };
  }
  return undefined;
}

/// VictoriaMetrics keeps its panels behind the `#`, with times in ISO's form.
function fromVmui(hash: string): Target {
  const search = new URLSearchParams(hash.slice(hash.indexOf("?") + 1 || hash.length));
  for (const [name, value] of [...search]) {
    if (!name.endsWith(".end_input")) continue;
    const time = Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(value) ? value : `${value}Z`);
    if (!Number.isNaN(time)) search.set(name, dateTime(time, true));
  }
  for (let n = 0; search.has(`g${n}.expr`); ++n) if (!search.has(`g${n}.tab`)) search.set(`g${n}.tab`, "graph");
  return { path: "/query", search };
}
