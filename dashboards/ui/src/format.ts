// Numbers, sizes and times as people read them.

const kUnits: [string, number][] = [
  ["y", 365 * 86400_000],
  ["w", 7 * 86400_000],
  ["d", 86400_000],
  ["h", 3600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/// Milliseconds of a Prometheus duration such as 1h30m; undefined if it is none.
export function parseDuration(text: string): number | undefined {
  const match =
    /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(
      text.trim(),
    );
  if (!match || text.trim() === "") return undefined;
  return kUnits.reduce((sum, [, ms], i) => sum + Number(match[i + 1] ?? 0) * ms, 0);
}

/// The same duration, written as Prometheus does.
export function printDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = ms;
  let out = "";
  for (const [unit, size] of kUnits) {
    // A week or a year only when it is a whole one.
    if ((unit === "y" || unit === "w") && rest % size !== 0) continue;
    const n = Math.floor(rest / size);
    if (n > 0) out += `${n}${unit}`;
    rest -= n * size;
  }
  return out;
}

/// Seconds in two units at most: "1h 3m", "12.3 ms".
export function seconds(s: number): string {
  if (!Number.isFinite(s)) return "–";
  if (s === 0) return "0 s";
  const a = Math.abs(s);
  if (a < 1e-3) return `${trim(s * 1e6)} µs`;
  if (a < 1) return `${trim(s * 1e3)} ms`;
  if (a < 60) return `${trim(s)} s`;
  const whole = Math.round(a);
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  const shown = parts.slice(first, first + 2).filter(([n]) => n > 0);
  return (s < 0 ? "-" : "") + shown.map(([n, u]) => `${n}${u}`).join(" ");
}

function trim(n: number): string {
  return Number(n.toPrecision(3)).toString();
}

/// 1234567 -> "1.23M".
export function count(n: number): string {
  if (!Number.isFinite(n)) return String(n);
  const units = ["", "k", "M", "G", "T", "P"];
  let i = 0;
  let value = n;
  while (Math.abs(value) >= 1000 && i < units.length - 1) {
    value /= 1000;
    ++i;
  }
  return trim(value) + units[i];
}

export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  let value = n;
  while (Math.abs(value) >= 1024 && i < units.length - 1) {
    value /= 1024;
    ++i;
  }
  return `${trim(value)} ${units[i]}`;
}

/// A ratio as percent, with digits enough not to look like 100 % when it is not.
export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return "–";
  const p = ratio * 100;
  for (let digits = 1; digits < 8; ++digits) {
    const text = p.toFixed(digits);
    if (p === 100 || Number(text) !== 100) return `${Number(text)} %`;
  }
  return `${p} %`;
}

function pad(n: number, width = 2): string {
  return String(n).padStart(width, "0");
}

/// "2026-11-22 13:04:05" in UTC or in the browser's zone.
export function dateTime(ms: number, utc: boolean): string {
  if (!Number.isFinite(ms)) return "–";
  const d = new Date(ms);
  return utc
    ? `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}-${pad(d.getUTCDate())} ${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`
    : `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/// Reverse of dateTime; undefined if it is no time.
export function parseDateTime(text: string, utc: boolean): number | undefined {
  const m = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text.trim());
  if (!m) return undefined;
  const n = (i: number) => Number(m[i] ?? 0);
  const ms = utc
    ? Date.UTC(n(1), n(2) - 1, n(3), n(4), n(5), n(6))
    : new Date(n(1), n(2) - 1, n(3), n(4), n(5), n(6)).getTime();
  return Number.isNaN(ms) ? undefined : ms;
}

/// "12s ago"; the reader's clock and the server's may differ a little.
export function ago(ms: number, now: number): string {
  return ms <= 0 || !Number.isFinite(ms) ? "never" : `${seconds(Math.max(0, now - ms) / 1000)} ago`;
}

const kPlainName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const kPlainLabel = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

export type Labels = Record<string, string>;

function quoted(text: string): string {
  return JSON.stringify(text);
}

/// name{label="value"} as PromQL reads it.
export function seriesText(labels: Labels): string {
  const name = labels.__name__ ?? "";
  const plain = kPlainName.test(name);
  const parts = name && !plain ? [quoted(name)] : [];
  for (const label of Object.keys(labels).sort()) {
    if (label === "__name__") continue;
    parts.push(`${kPlainLabel.test(label) ? label : quoted(label)}=${quoted(labels[label] ?? "")}`);
  }
  const braces = parts.length > 0 || !name ? `{${parts.join(", ")}}` : "";
  return (plain ? name : "") + braces;
}
