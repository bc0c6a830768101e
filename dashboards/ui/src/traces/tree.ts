// A trace as columns in the order it is drawn: parents before children, children by start. Columns
// and not objects, so that a hundred thousand spans open and fold at once.

import type { SpanJson, TraceJson } from "./types";

/// What a trace is drawn of, without what its spans carry.
export interface Shape {
  traceID: string;
  warnings: string[];
  names: string[]; // Operations, in drawing order, as everything below.
  start: Float64Array; // Microseconds since the trace began.
  end: Float64Array;
  depth: Uint16Array;
  size: Uint32Array; // Spans of the subtree, itself included.
  isError: Uint8Array;
  isCritical: Uint8Array;
  isOrphan: Uint8Array; // Its parent is not here.
  services: string[]; // Of each span.
  began: number; // Microseconds since 1970.
  duration: number; // Microseconds.
}

export interface Tree extends Shape {
  spans: SpanJson[];
}

function parentOf(span: SpanJson, traceID: string): string {
  const reference =
    span.references.find((one) => one.refType === "CHILD_OF" && one.traceID === traceID) ??
    span.references.find((one) => one.traceID === traceID);
  return reference?.spanID ?? "";
}

export function hasError(span: SpanJson): boolean {
  return span.tags.some(
    (tag) =>
      (tag.key === "error" && tag.value === true) ||
      (tag.key === "otel.status_code" && tag.value === "ERROR"),
  );
}

export function treeOf(trace: TraceJson): Tree {
  const count = trace.spans.length;
  const place = new Map<string, number>();
  trace.spans.forEach((span, i) => {
    if (!place.has(span.spanID)) place.set(span.spanID, i);
  });
  const children: number[][] = Array.from({ length: count }, () => []);
  const roots: number[] = [];
  const orphans = new Uint8Array(count);
  trace.spans.forEach((span, i) => {
    const id = parentOf(span, trace.traceID);
    const parent = place.get(id);
    if (parent === undefined || parent === i) {
      if (id !== "" && parent === undefined) orphans[i] = 1;
      roots.push(i);
    } else {
      children[parent]?.push(i);
    }
  });
  const began = trace.spans.reduce((m, span) => Math.min(m, span.startTime), Infinity);
  const startOf = (i: number) => trace.spans[i]?.startTime ?? 0;
  const byStart = (a: number, b: number) => startOf(a) - startOf(b);

  const order: number[] = [];
  const depths: number[] = [];
  const seen = new Uint8Array(count);
  const walk = (root: number) => {
    // A stack and no recursion: chains of fifty thousand spans exist.
    const stack: [number, number][] = [[root, 0]];
    for (let top = stack.pop(); top; top = stack.pop()) {
      const [i, depth] = top;
      if (seen[i]) continue;
      seen[i] = 1;
      order.push(i);
      depths.push(depth);
      const below = (children[i] ?? []).sort(byStart);
      for (let k = below.length - 1; k >= 0; --k) stack.push([below[k] as number, depth + 1]);
    }
  };
  roots.sort(byStart).forEach(walk);
  // What is left are circles of parents: cut where they are first met.
  for (let i = 0; i < count; ++i) if (!seen[i]) walk(i);

  const size = new Uint32Array(count).fill(1);
  // Backwards, a row's subtree is complete when its parent, the last row before it that is one less
  // deep, is met.
  // Spans so far of unfinished subtrees, by depth.
  const open = new Uint32Array(depths.reduce((m, d) => Math.max(m, d), 0) + 2);
  for (let row = count - 1; row >= 0; --row) {
    const depth = depths[row] ?? 0;
    const own = 1 + (open[depth + 1] ?? 0);
    open[depth + 1] = 0;
    size[row] = own;
    open[depth] = (open[depth] ?? 0) + own;
  }
  const spans = order.map((i) => trace.spans[i] as SpanJson);
  const start = Float64Array.from(spans, (span) => span.startTime - began);
  const end = Float64Array.from(spans, (span) => span.startTime - began + span.duration);
  const tree: Tree = {
    traceID: trace.traceID,
    warnings: trace.warnings ?? [],
    names: spans.map((span) => span.operationName),
    spans,
    start,
    end,
    depth: Uint16Array.from(depths),
    size,
    isError: Uint8Array.from(spans, (span) => (hasError(span) ? 1 : 0)),
    isCritical: new Uint8Array(count),
    isOrphan: Uint8Array.from(order, (i) => orphans[i] ?? 0),
    services: spans.map((span) => trace.processes[span.processID]?.serviceName ?? ""),
    began: Number.isFinite(began) ? began : 0,
    duration: end.reduce((m, v) => Math.max(m, v), 0),
  };
  markCritical(tree);
  return tree;
}

/// The path without which the trace would have been shorter: from the end backwards, always into the
/// child that ended last before.
function markCritical(tree: Shape): void {
  if (tree.names.length === 0) return;
  const work: [number, number][] = [[0, tree.end[0] ?? 0]];
  for (let top = work.pop(); top; top = work.pop()) {
    const [row, until] = top;
    tree.isCritical[row] = 1;
    const below: number[] = [];
    for (let child = row + 1; child < row + (tree.size[row] ?? 1); child += tree.size[child] ?? 1) {
      below.push(child);
    }
    below.sort((a, b) => (tree.end[b] ?? 0) - (tree.end[a] ?? 0));
    let open = until;
    for (const child of below) {
      const start = tree.start[child] ?? 0;
      const end = tree.end[child] ?? 0;
      if (end > open || start < (tree.start[row] ?? 0)) continue;
      work.push([child, end]);
      open = start;
    }
  }
}

/// Rows that are drawn when the subtrees of `folded` are not.
export function visibleRows(tree: Shape, folded: ReadonlySet<number>): Uint32Array {
  const rows = new Uint32Array(tree.names.length);
  let count = 0;
  for (let row = 0; row < tree.names.length; ) {
    rows[count++] = row;
    row += folded.has(row) ? (tree.size[row] ?? 1) : 1;
  }
  return rows.subarray(0, count);
}

/// Time a span spent in none of its children, microseconds.
export function selfTime(tree: Shape, row: number): number {
  const spans: [number, number][] = [];
  for (let child = row + 1; child < row + (tree.size[row] ?? 1); child += tree.size[child] ?? 1) {
    spans.push([tree.start[child] ?? 0, tree.end[child] ?? 0]);
  }
  spans.sort((a, b) => a[0] - b[0]);
  let covered = 0;
  let until = tree.start[row] ?? 0;
  const last = tree.end[row] ?? 0;
  for (const [start, end] of spans) {
    const from = Math.max(start, until);
    const to = Math.min(end, last);
    if (to > from) {
      covered += to - from;
      until = to;
    }
  }
  return (tree.end[row] ?? 0) - (tree.start[row] ?? 0) - covered;
}

/// The row that spent most time in none of its children: where the time went.
export function slowestOf(tree: Shape): number {
  // In one pass over all rows: what children cover may overlap, so a row's own time is at least this.
  const own = Float64Array.from(tree.start, (start, row) => (tree.end[row] ?? 0) - start);
  const parents: number[] = [];
  for (let row = 0; row < tree.names.length; ++row) {
    const depth = tree.depth[row] ?? 0;
    const parent = depth > 0 ? parents[depth - 1] : undefined;
    if (parent !== undefined) own[parent] = (own[parent] ?? 0) - ((tree.end[row] ?? 0) - (tree.start[row] ?? 0));
    parents[depth] = row;
  }
  let best = 0;
  for (let row = 1; row < own.length; ++row) if ((own[row] ?? 0) > (own[best] ?? 0)) best = row;
  return best;
}
