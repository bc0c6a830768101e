import { describe, expect, it } from "vitest";
import { colorsOf } from "./colors";
import { gridOf, greatest, stacked } from "./result";

describe("grids", () => {
  it("put values on their steps and leave gaps", () => {
    const grid = gridOf(
      [{ metric: { __name__: "x" }, values: [[10, "1"], [30, "NaN"], [40, "4"]] }],
      10,
      40,
      10,
    );
    expect(grid.times).toEqual([10, 20, 30, 40]);
    expect(grid.columns).toEqual([[1, null, null, 4]]);
  });
  it("keep the greatest series in their order", () => {
    const of = (name: string, v: number) => ({ metric: { __name__: name }, values: [[0, String(v)]] as [number, string][] });
    const grid = gridOf([of("a", 5), of("b", 1), of("c", 9)], 0, 0, 1);
    expect(greatest(grid, 2).names).toEqual(["a", "c"]);
    expect(greatest(grid, 3)).toBe(grid);
  });
});

describe("stacking", () => {
  it("counts a series as nothing outside its life and bridges gaps within", () => {
    expect(
      stacked([
        [1, 1, 1, 1],
        [null, 2, null, 2],
        [3, null, null, null],
      ]),
    ).toEqual([
      [1, 1, 1, 1],
      [null, 3, 1, 3],
      [4, null, null, null],
    ]);
  });
});

describe("colours", () => {
  it("stay with a series and differ between neighbours", () => {
    const names = Array.from({ length: 18 }, (_, i) => `x{i="${i}"}`);
    const colors = colorsOf(names, false);
    expect(new Set(colors).size).toBe(18);
    expect(colorsOf(names.slice(0, 1), false)[0]).toBe(colors[0]);
  });
});
