import { describe, expect, it } from "vitest";
import { type Edge, placesOf } from "./graph";

const edge = (client: string, server: string): Edge => ({ client, server, kind: "", rate: 1, failed: 0 });

describe("the graph of services", () => {
  it("has callers left of those they call", () => {
    expect(placesOf([edge("web", "cart"), edge("cart", "db"), edge("web", "db"), edge("web", "ads")])).toEqual([
      { name: "web", column: 0, row: 0 },
      { name: "ads", column: 1, row: 0 },
      { name: "cart", column: 1, row: 1 },
      { name: "db", column: 2, row: 0 },
    ]);
  });
  it("ends where services call each other in a circle, or themselves", () => {
    expect(placesOf([edge("a", "b"), edge("b", "a"), edge("a", "a")]).map((one) => one.name).sort()).toEqual(["a", "b"]);
  });
});
