// Spans of a trace by what they do: how many, how long, how much of it their own.

import { selfTime, type Shape } from "./tree";

export interface Operation {
  service: string;
  name: string;
  count: number;
  errors: number;
  total: number; // Microseconds, as the next two.
  own: number;
  longest: number;
}

export type By = "service" | "operation";

export function operationsOf(tree: Shape, by: By = "operation"): Operation[] {
  const found = new Map<string, Operation>();
  tree.names.forEach((operation, row) => {
    const service = tree.services[row] ?? "";
    const name = by === "operation" ? operation : "";
    const key = JSON.stringify([service, name]);
    const one = found.get(key) ?? { service, name, count: 0, errors: 0, total: 0, own: 0, longest: 0 };
    const took = (tree.end[row] ?? 0) - (tree.start[row] ?? 0);
    ++one.count;
    one.errors += tree.isError[row] ?? 0;
    one.total += took;
    one.own += (tree.size[row] ?? 1) === 1 ? took : selfTime(tree, row);
    one.longest = Math.max(one.longest, took);
    found.set(key, one);
  });
  return [...found.values()].sort((a, b) => b.own - a.own);
}

export interface Frame {
  service: string;
  name: string;
  depth: number;
  from: number; // Of the whole width, as the width.
  width: number;
  count: number;
  total: number; // Microseconds.
}

interface Node {
  service: string;
  name: string;
  count: number;
  total: number;
  children: Map<string, Node>;
}

const kNarrowest = 0.002;

/// Spans of the same way from the root as one frame, as wide as their time together. What is too
/// narrow to see is left out. Children that ran side by side are squeezed into their parent.
export function framesOf(tree: Shape): Frame[] {
  const root: Node = { service: "", name: "", count: 0, total: 0, children: new Map() };
  const path: Node[] = [root];
  tree.names.forEach((operation, row) => {
    const depth = tree.depth[row] ?? 0;
    const parent = path[depth] ?? root;
    const service = tree.services[row] ?? "";
    const key = JSON.stringify([service, operation]);
    let node = parent.children.get(key);
    if (!node) {
      node = { service, name: operation, count: 0, total: 0, children: new Map() };
      parent.children.set(key, node);
    }
    ++node.count;
    node.total += (tree.end[row] ?? 0) - (tree.start[row] ?? 0);
    path[depth + 1] = node;
  });
  const out: Frame[] = [];
  const work: { node: Node; from: number; width: number; depth: number }[] = [{ node: root, from: 0, width: 1, depth: -1 }];
  for (let top = work.pop(); top; top = work.pop()) {
    const { node, from, width, depth } = top;
    if (depth >= 0) out.push({ service: node.service, name: node.name, depth, from, width, count: node.count, total: node.total });
    const sum = [...node.children.values()].reduce((n, child) => n + child.total, 0);
    const scale = width / Math.max(1, sum, depth < 0 ? 0 : node.total);
    let at = from;
    for (const child of [...node.children.values()].sort((a, b) => b.total - a.total)) {
      const own = child.total * scale;
      if (own >= kNarrowest) work.push({ node: child, from: at, width: own, depth: depth + 1 });
      at += own;
    }
  }
  return out.sort((a, b) => a.depth - b.depth || a.from - b.from);
}

export interface Difference {
  service: string;
  name: string;
  before: Operation | undefined;
  after: Operation | undefined;
  change: number; // Microseconds of own time.
}

/// Operations of two traces side by side, those that changed most first.
export function differencesOf(before: Operation[], after: Operation[]): Difference[] {
  const key = (one: Operation) => JSON.stringify([one.service, one.name]);
  const old = new Map(before.map((one) => [key(one), one]));
  const now = new Map(after.map((one) => [key(one), one]));
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((id) => {
      const a = old.get(id);
      const b = now.get(id);
      return {
        service: (a ?? b)?.service ?? "",
        name: (a ?? b)?.name ?? "",
        before: a,
        after: b,
        change: (b?.own ?? 0) - (a?.own ?? 0),
      };
    })
    .sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
}
