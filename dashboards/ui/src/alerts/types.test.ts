import { describe, expect, it } from "vitest";
import { runsOf, stretchesOf } from "./types";

describe("the timeline", () => {
  const at = (s: number) => new Date(s * 1000).toISOString();
  it("knows the state before the first event of the window", () => {
    const states = stretchesOf(
      [
        { at: at(10), event: "resolved" },
        { at: at(15), event: "reloaded" },
        { at: at(20), event: "pending" },
      ],
      0,
      30_000,
    );
    expect(states).toEqual([
      { from: 0, to: 10_000, state: "firing" },
      { from: 10_000, to: 20_000, state: "inactive" },
      { from: 20_000, to: 30_000, state: "pending" },
    ]);
  });
  it("joins evaluations that say the same", () => {
    const tick = (s: number, active: boolean, value: number | null) => ({ at: at(s), active, values: [{ name: "x", value }] });
    expect(runsOf([tick(0, false, 1), tick(1, false, 1), tick(2, true, 3), tick(3, false, null)], 4000)).toEqual([
      { from: 0, to: 2000, state: "false" },
      { from: 2000, to: 3000, state: "true" },
      { from: 3000, to: 4000, state: "no data" },
    ]);
  });
});
