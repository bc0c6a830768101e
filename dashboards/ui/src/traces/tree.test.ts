import { describe, expect, it } from "vitest";
import { selfTime, slowestOf, treeOf, visibleRows } from "./tree";
import type { SpanJson, TraceJson } from "./types";

function span(spanID: string, parent: string, startTime: number, duration: number, error = false): SpanJson {
  return {
    spanID,
    operationName: spanID,
    references: parent ? [{ refType: "CHILD_OF", traceID: "t", spanID: parent }] : [],
    startTime,
    duration,
    processID: "p1",
    tags: error ? [{ key: "error", type: "bool", value: true }] : [],
    logs: [],
  };
}

function trace(spans: SpanJson[]): TraceJson {
  return { traceID: "t", spans, processes: { p1: { serviceName: "shop", tags: [] } } };
}

describe("trees of spans", () => {
  const tree = treeOf(
    trace([span("c", "a", 60, 30, true), span("a", "", 0, 100), span("d", "b", 15, 5), span("b", "a", 10, 40)]),
  );
  it("have parents before children and children by start", () => {
    expect(tree.spans.map((s) => s.spanID)).toEqual(["a", "b", "d", "c"]);
    expect([...tree.depth]).toEqual([0, 1, 2, 1]);
    expect([...tree.size]).toEqual([4, 2, 1, 1]);
    expect([...tree.isError]).toEqual([0, 0, 0, 1]);
  });
  it("know the critical path and the time of their own", () => {
    expect([...tree.isCritical]).toEqual([1, 1, 1, 1]);
    expect(selfTime(tree, 0)).toBe(30);
    expect(selfTime(tree, 1)).toBe(35);
  });
  it("fold whole subtrees", () => {
    expect([...visibleRows(tree, new Set([1]))]).toEqual([0, 1, 3]);
    expect([...visibleRows(tree, new Set([0, 1]))]).toEqual([0]);
  });
  it("survive orphans, circles, doubles and chains", () => {
    const odd = treeOf(trace([span("x", "gone", 5, 1), span("p", "q", 1, 1), span("q", "p", 2, 1), span("x", "", 6, 1)]));
    expect(odd.spans.length).toBe(4);
    expect(odd.isOrphan[odd.spans.findIndex((s) => s.references[0]?.spanID === "gone")]).toBe(1);
    const chain = Array.from({ length: 50_000 }, (_, i) => span(`s${i}`, i ? `s${i - 1}` : "", i, 1));
    expect(treeOf(trace(chain)).depth.at(-1)).toBe(49_999);
  });
  it("know where the time went", () => {
    expect(tree.spans[slowestOf(tree)]?.spanID).toBe("b");
    expect(slowestOf(treeOf(trace([])))).toBe(0);
  });
});
