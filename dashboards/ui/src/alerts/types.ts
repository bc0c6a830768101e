// /api/tarsier/v1/alerts/<id>/timeline, and the id of an alert.

import type { Labels } from "../format";

export interface TickJson {
  at: string;
  active: boolean;
  values: { name: string; value: number | null; threshold?: number }[];
}

export interface EventJson {
  at: string;
  event: "pending" | "firing" | "resolved" | "dropped" | "started" | "reloaded";
  reason?: string;
}

export interface TimelineJson {
  id: string;
  labels: Labels;
  owner: string;
  query: string;
  for: string;
  start: string;
  end: string;
  cause: string;
  ticks: TickJson[];
  events: EventJson[];
  notifications: { at: string; receiver: string; state: string; outcome: string }[];
}

const kPrime = 0x100000001b3n;
const kMask = 0xffffffffffffffffn;

/// The id of an alert, as in /api/v2/alerts: FNV-1a over its labels by name.
export function fingerprintOf(labels: Labels): string {
  let h = 0xcbf29ce484222325n;
  const mix = (byte: number) => {
    h = ((h ^ BigInt(byte)) * kPrime) & kMask;
  };
  const text = new TextEncoder();
  const order = (a: Uint8Array, b: Uint8Array) => {
    const n = Math.min(a.length, b.length);
    for (let i = 0; i < n; ++i) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0);
    return a.length - b.length;
  };
  const pairs = Object.entries(labels).map(([name, value]) => [text.encode(name), text.encode(value)] as const);
  pairs.sort((a, b) => order(a[0], b[0]));
  for (const pair of pairs) {
    for (const bytes of pair) {
      bytes.forEach(mix);
      mix(255);
    }
  }
  return h.toString(16).padStart(16, "0");
}

export interface Stretch {
  from: number; // Milliseconds.
  to: number;
  state: string;
}

/// The states between the events of a span of time; before the first one what it implies.
export function stretchesOf(events: EventJson[], start: number, end: number): Stretch[] {
  const kAfter: Record<string, string> = { pending: "pending", firing: "firing", resolved: "inactive", dropped: "inactive" };
  const kBefore: Record<string, string> = { pending: "inactive", firing: "inactive", resolved: "firing", dropped: "pending" };
  const own = events.filter((event) => event.event in kAfter);
  const out: Stretch[] = [];
  let from = start;
  let state = own[0] ? (kBefore[own[0].event] ?? "inactive") : "inactive";
  for (const event of own) {
    const at = Math.min(Math.max(Date.parse(event.at), start), end);
    if (at > from) out.push({ from, to: at, state });
    from = at;
    state = kAfter[event.event] ?? "inactive";
  }
  if (end > from) out.push({ from, to: end, state });
  return out;
}

/// Ticks next to each other that say the same, as one.
export function runsOf(ticks: TickJson[], end: number): Stretch[] {
  const out: Stretch[] = [];
  ticks.forEach((tick, i) => {
    const from = Date.parse(tick.at);
    const to = i + 1 < ticks.length ? Date.parse(ticks[i + 1]?.at ?? "") : end;
    const state = tick.active ? "true" : tick.values.some((one) => one.value !== null) ? "false" : "no data";
    const last = out.at(-1);
    if (last && last.state === state) last.to = to;
    else out.push({ from, to, state });
  });
  return out;
}
