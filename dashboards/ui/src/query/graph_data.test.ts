import { describe, expect, it } from "vitest";
import { graphAnswerOf } from "./graph_data";

const question = { url: "", body: "", window: { start: 0, end: 10, step: 10 }, drawnMax: 1, withSeries: false };

describe("what a graph is drawn of", () => {
  it("is the greatest series, with the number of all", () => {
    const result = [
      { metric: { a: "1" }, values: [[0, "1"]] },
      { metric: { a: "2" }, values: [[10, "5"]] },
    ];
    const answer = graphAnswerOf(JSON.stringify({ status: "success", data: { resultType: "matrix", result }, infos: ["i"] }), 200, question);
    expect(answer).toMatchObject({
      data: { total: 2, metrics: [{ a: "2" }], series: [], grid: { times: [0, 10], columns: [[null, 5]] } },
      infos: ["i"],
    });
  });
  it("is the server's error, or what came instead of an answer", () => {
    const error = { status: "error", errorType: "bad_data", error: "parse error" };
    expect(graphAnswerOf(JSON.stringify(error), 400, question)).toEqual({
      fault: { type: "bad_data", message: "parse error", status: 400 },
    });
    expect(graphAnswerOf("<html>", 502, question)).toMatchObject({ fault: { type: "http", message: "502: <html>" } });
  });
});
