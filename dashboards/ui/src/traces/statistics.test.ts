import { describe, expect, it } from "vitest";
import { differencesOf, framesOf, operationsOf } from "./statistics";
import { treeOf } from "./tree";
import type { SpanJson } from "./types";

function span(spanID: string, parent: string, operationName: string, startTime: number, duration: number): SpanJson {
  return {
    spanID,
    operationName,
    references: parent ? [{ refType: "CHILD_OF", traceID: "t", spanID: parent }] : [],
    startTime,
    duration,
    processID: "p",
    tags: [],
    logs: [],
  };
}

const treeFrom = (...spans: SpanJson[]) => treeOf({ traceID: "t", spans, processes: { p: { serviceName: "shop", tags: [] } } });
const tree = treeFrom(span("a", "", "root", 0, 100), span("b", "a", "step", 0, 30), span("c", "a", "step", 40, 30));

describe("statistics of a trace", () => {
  it("tell own from whole time", () => {
    expect(operationsOf(tree)).toEqual([
      { service: "shop", name: "step", count: 2, errors: 0, total: 60, own: 60, longest: 30 },
      { service: "shop", name: "root", count: 1, errors: 0, total: 100, own: 40, longest: 100 },
    ]);
    expect(operationsOf(tree, "service")[0]?.count).toBe(3);
  });
  it("draw what came the same way as one frame", () => {
    const frames = framesOf(tree);
    expect(frames.map((one) => [one.name, one.depth, one.from, Number(one.width.toFixed(3)), one.count])).toEqual([
      ["root", 0, 0, 1, 1],
      ["step", 1, 0, 0.6, 2],
    ]);
  });
  it("compare by operation", () => {
    const other = treeFrom(span("a", "", "root", 0, 300), span("b", "a", "new", 0, 50));
    expect(differencesOf(operationsOf(tree), operationsOf(other)).map((one) => [one.name, one.change])).toEqual([
      ["root", 210],
      ["step", -60],
      ["new", 50],
    ]);
  });
});
