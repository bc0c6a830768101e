import { describe, expect, it } from "vitest";
import { cellAt, hasBuckets, heatmapOf, placeOf } from "./heatmap";

const classic = (le: string, ...values: [number, string][]) => ({ metric: { le }, values });

describe("heatmaps", () => {
  it("take cumulative buckets apart, whatever their order", () => {
    const map = heatmapOf([classic("+Inf", [0, "10"]), classic("0.5", [0, "9"]), classic("0.1", [0, "4"], [15, "1"])]);
    expect(map.cells).toEqual([
      { time: 0, low: 0, high: 0.1, count: 4 },
      { time: 15, low: 0, high: 0.1, count: 1 },
      { time: 0, low: 0.1, high: 0.5, count: 5 },
      { time: 0, low: 0.5, high: 1, count: 1 },
    ]);
    expect(map.most).toBe(5);
  });
  it("add up series, and leave out empty and shrinking buckets", () => {
    const map = heatmapOf([classic("1", [0, "2"]), classic("1", [0, "3"]), classic("2", [0, "5"]), classic("4", [0, "4"])]);
    expect(map.cells).toEqual([{ time: 0, low: 0, high: 1, count: 5 }]);
  });
  it("take native histograms as they are", () => {
    const series = [{ metric: {}, histograms: [[0, { count: "3", sum: "1", buckets: [[0, "0.5", "1", "3"]] }]] }] as never;
    expect(heatmapOf(series).cells).toEqual([{ time: 0, low: 0.5, high: 1, count: 3 }]);
    expect(hasBuckets(series)).toBe(true);
    expect(hasBuckets([{ metric: {}, values: [] }])).toBe(false);
  });
  it("have a scale by logarithm and find what is pointed at", () => {
    const map = heatmapOf([classic("1", [0, "1"]), classic("4", [0, "3"])]);
    expect(placeOf(0, map)).toBe(0);
    expect(placeOf(4, map)).toBe(1);
    expect(cellAt(map, 3, 15, placeOf(2, map))?.count).toBe(2);
    expect(cellAt(map, 30, 15, 0.5)).toBeUndefined();
  });
});
