import { describe, expect, it } from "vitest";
import { targetOf } from "./old_links";

const target = (path: string, search = "", hash = "") => {
  const found = targetOf(path, new URLSearchParams(search), hash);
  return found && `${found.path}?${decodeURIComponent(found.search.toString())}`;
};

describe("links of other programs", () => {
  it("of Prometheus and Jaeger lead to the page and keep what they ask", () => {
    expect(target("/graph", "g0.expr=up&g0.tab=0")).toBe("/query?g0.expr=up&g0.tab=0");
    expect(target("/search", "service=shop")).toBe("/traces?service=shop");
    expect(target("/query", "g0.expr=up")).toBeUndefined();
  });
  it("of VictoriaMetrics come out of what is behind the #", () => {
    expect(target("/vmui/", "", "#/?g0.expr=up&g0.range_input=30m&g0.end_input=2026-11-22T10:00:00")).toBe(
      "/query?g0.expr=up&g0.range_input=30m&g0.end_input=2026-11-22+10:00:00&g0.tab=graph",
    );
    expect(target("/vmui", "", "")).toBe("/query?");
  });
  it("of Pyrra lead to the objective", () => {
    expect(target("/objectives", 'expr={__name__="shop-availability",team="a"}&from=now-1h')).toBe("/slos/shop-availability?");
    expect(target("/objectives")).toBe("/slos?");
  });
});
