import { describe, expect, it } from "vitest";
import { emptyPanel, kHour, readPanels, windowOf, writePanels } from "./panels";

const read = (query: string) => readPanels(new URLSearchParams(query));

describe("addresses", () => {
  it("of alert links from Prometheus are understood", () => {
    expect(read("g0.expr=up%20%3D%3D%200&g0.tab=1")).toEqual([{ ...emptyPanel(), expr: "up == 0", tab: "table" }]);
    expect(read("g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=30m")[0]).toMatchObject({
      tab: "graph",
      stacked: true,
      rangeMs: kHour / 2,
    });
  });
  it("round-trip in the new form", () => {
    const panels = [
      { ...emptyPanel(), expr: "rate(x[5m])", tab: "graph" as const, rangeMs: 2 * kHour, endMs: Date.UTC(2026, 0, 2, 3, 4, 5) },
      { ...emptyPanel(), expr: "b", tab: "graph" as const, stacked: true, stepSeconds: 7, fromZero: true },
      { ...emptyPanel(), expr: "c", tab: "explain" as const, density: "high" as const },
      { ...emptyPanel(), expr: "d" },
    ];
    expect(readPanels(writePanels(panels))).toEqual(panels);
  });
  it("end at the first panel that is missing, and ignore what is unknown", () => {
    expect(read("g0.expr=a&g2.expr=c&g0.nonsense=1&g0.range_input=never").map((p) => p.expr)).toEqual(["a"]);
    expect(read("")).toEqual([emptyPanel()]);
  });
});

describe("windows", () => {
  it("lie on multiples of the step, so that the same points come back", () => {
    const panel = { ...emptyPanel(), tab: "graph" as const, stepSeconds: 15 };
    const a = windowOf(panel, 1_700_000_001_000);
    const b = windowOf(panel, 1_700_000_007_000);
    expect(a.end % 15).toBe(0);
    expect(a).toEqual(b);
    expect(a.end - a.start).toBe(3600);
  });
  it("have a point at the end that was asked for", () => {
    const panel = { ...emptyPanel(), tab: "graph" as const, rangeMs: 3 * kHour, endMs: 1_700_000_001_000 };
    const window = windowOf(panel, 1_700_000_099_000);
    expect(window.end).toBe(1_700_000_001);
    expect((window.end - window.start) % window.step).toBe(0);
  });
  it("have about as many points as the resolution says", () => {
    expect(windowOf({ ...emptyPanel(), tab: "graph" }, 1_700_000_000_000).step).toBe(14);
    expect(windowOf({ ...emptyPanel(), tab: "graph", rangeMs: 60_000 }, 0).step).toBe(1);
  });
});
