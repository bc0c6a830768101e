import { describe, expect, it } from "vitest";
import { fuzzyScore, metaOf } from "./metric_search";

describe("finding metrics", () => {
  it("puts what has the words before what has their letters", () => {
    const order = ["hits_total", "http_requests_total", "node_http"].sort((a, b) => fuzzyScore(b, "http") - fuzzyScore(a, "http"));
    expect(order).toEqual(["http_requests_total", "node_http", "hits_total"]);
    expect(fuzzyScore("up", "x")).toBe(0);
  });
  it("knows a series' metadata by its family", () => {
    const meta = { type: "histogram", help: "h", unit: "" };
    expect(metaOf({ latency: [meta] }, "latency_bucket")).toBe(meta);
    expect(metaOf({}, "up")).toBeUndefined();
  });
});
