import { describe, expect, it } from "vitest";
import { byBudget, remainingOf, type SloJson } from "./types";

function slo(id: string, ...remaining: (number | null)[]): SloJson {
  return { id, groups: remaining.map((budgetRemaining) => ({ budgetRemaining })) } as unknown as SloJson;
}

describe("objectives", () => {
  it("are as good as their worst group", () => {
    expect(remainingOf(slo("a", 0.9, -0.2, null))).toBe(-0.2);
    expect(remainingOf(slo("a", null))).toBeUndefined();
  });
  it("come by what is left of their budgets, the unknown last", () => {
    const order = byBudget([slo("x"), slo("b", 0.5), slo("a", 0.5), slo("c", -1)]);
    expect(order.map((one) => one.id)).toEqual(["c", "a", "b", "x"]);
  });
});
