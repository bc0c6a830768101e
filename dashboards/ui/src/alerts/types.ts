// /api/tarsier/v1/alerts/<id>/timeline

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
