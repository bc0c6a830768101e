import { describe, expect, it } from "vitest";
import { bytes, count, dateTime, parseDateTime, parseDuration, percent, printDuration, seconds, seriesText } from "./format";

describe("durations", () => {
  it("are read and written as Prometheus does", () => {
    for (const text of ["5m", "1h30m", "1d12h", "1w", "1y", "250ms", "1h1ms"]) {
      expect(printDuration(parseDuration(text) ?? -1)).toBe(text);
    }
    expect(parseDuration("90s")).toBe(90_000);
    expect(printDuration(90_000)).toBe("1m30s");
    expect(printDuration(8 * 86400_000)).toBe("8d");
  });
  it("that are none are refused", () => {
    for (const text of ["", "5", "m", "5x", "1m1h", "-5m", "1.5h"]) expect(parseDuration(text)).toBeUndefined();
  });
});

describe("times", () => {
  it("round-trip in UTC", () => {
    const ms = Date.UTC(2026, 10, 22, 13, 4, 5);
    expect(dateTime(ms, true)).toBe("2026-11-22 13:04:05");
    expect(parseDateTime("2026-11-22 13:04:05", true)).toBe(ms);
    expect(parseDateTime("2026-11-22T13:04", true)).toBe(Date.UTC(2026, 10, 22, 13, 4));
    expect(parseDateTime("yesterday", true)).toBeUndefined();
  });
});

describe("numbers", () => {
  it("are short", () => {
    expect(count(1234567)).toBe("1.23M");
    expect(count(999)).toBe("999");
    expect(bytes(1536)).toBe("1.5 KiB");
    expect(seconds(3780)).toBe("1h 3m");
    expect(seconds(0.0123)).toBe("12.3 ms");
  });
  it("never look like an objective that is missed", () => {
    expect(percent(0.9995)).toBe("99.95 %");
    expect(percent(0.99999)).toBe("99.999 %");
    expect(percent(1)).toBe("100 %");
  });
});

describe("series", () => {
  it("are written as PromQL reads them", () => {
    expect(seriesText({ __name__: "up", job: 'a"b' })).toBe('up{job="a\\"b"}');
    expect(seriesText({ __name__: "up" })).toBe("up");
    expect(seriesText({ __name__: "my.metric", "la bel": "x" })).toBe('{"my.metric", "la bel"="x"}');
    expect(seriesText({})).toBe("{}");
  });
});
