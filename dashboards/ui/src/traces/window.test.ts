import { describe, expect, it } from "vitest";
import { meantBy, traceQueryOf } from "./window";

describe("the traces a graph is about", () => {
  it("are those of its series' services", () => {
    const meant = meantBy("sum by (service) (rate(x[1m]))", [{ service: "pay" }, { service: "cart" }]);
    expect(traceQueryOf(meant)).toBe('{ (resource.service.name = "pay" || resource.service.name = "cart") }');
  });
  it("are those its query selects where labels were summed away", () => {
    const meant = meantBy('sum(rate(calls{service="pay\\"1",span_name="charge",status_code="STATUS_CODE_ERROR"}[1m]))', [{}]);
    expect(traceQueryOf(meant)).toBe('{ resource.service.name = "pay\\"1" && name = "charge" }');
    expect(meant.errors).toBe(true);
  });
  it("are all of the window where nothing says which", () => {
    expect(traceQueryOf(meantBy("up", [{ instance: "a" }]))).toBe("{}");
  });
});
