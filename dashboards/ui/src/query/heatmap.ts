// Buckets over time as cells: of classic histograms (one series for each `le`) and of native ones.

import type { Series } from "./result";

export interface Cell {
  time: number; // Seconds: the step it belongs to.
  low: number;
  high: number;
  count: number;
}

export interface Heatmap {
  cells: Cell[];
  low: number; // The smallest boundary above nothing, for a scale by logarithm.
  high: number;
  most: number; // The greatest count.
}

function bound(text: string | undefined): number {
  return text === "+Inf" || text === "Inf" ? Infinity : Number(text);
}

/// Whether a result has something a heatmap can show.
export function hasBuckets(series: Series[]): boolean {
  return series.some((one) => one.histograms !== undefined || one.metric.le !== undefined);
}

/// Counts of the buckets of each time; series of different labels are added up.
export function heatmapOf(series: Series[]): Heatmap {
  const counts = new Map<string, Cell>();
  const add = (time: number, low: number, high: number, count: number) => {
    if (!(count > 0)) return;
    const key = `${time} ${low} ${high}`;
    const cell = counts.get(key);
    if (cell) cell.count += count;
    else counts.set(key, { time, low, high, count });
  };
  // Classic: cumulative by `le`, so a bucket is the difference to the one below.
  const byLe = new Map<number, Map<number, number>>();
  for (const one of series) {
    if (one.metric.le === undefined) continue;
    const le = bound(one.metric.le);
    if (Number.isNaN(le)) continue;
    const values = byLe.get(le) ?? new Map<number, number>();
    for (const [t, v] of one.values ?? []) values.set(t, (values.get(t) ?? 0) + Number(v));
    byLe.set(le, values);
  }
  const bounds = [...byLe.keys()].sort((a, b) => a - b);
  bounds.forEach((le, i) => {
    const below = i > 0 ? byLe.get(bounds[i - 1] ?? 0) : undefined;
    for (const [t, v] of byLe.get(le) ?? []) {
      add(t, i > 0 ? (bounds[i - 1] ?? 0) : Math.min(0, le), le, v - (below?.get(t) ?? 0));
    }
  });
  for (const one of series) {
    for (const [t, histogram] of one.histograms ?? []) {
      for (const [, low, high, count] of histogram.buckets ?? []) add(t, bound(low), bound(high), Number(count));
    }
  }
  const cells = [...counts.values()];
  const finite = cells.flatMap((cell) => [cell.low, cell.high]).filter((v) => v > 0 && Number.isFinite(v));
  const high = finite.reduce((m, v) => Math.max(m, v), 0) || 1;
  const low = finite.reduce((m, v) => Math.min(m, v), high);
  // What lies above all boundaries is drawn as one more bucket, what lies below as one less.
  for (const cell of cells) {
    if (cell.high === Infinity) cell.high = Math.max(cell.low, high) * 2;
    if (cell.low < 0) cell.low = 0;
  }
  const top = cells.reduce((m, cell) => Math.max(m, cell.high), high);
  return { cells, low: low / 2, high: top, most: cells.reduce((m, cell) => Math.max(m, cell.count), 0) };
}

/// Where a value lies on the scale, 0 at its foot and 1 at its top.
export function placeOf(value: number, map: Heatmap): number {
  if (value <= map.low) return 0;
  return Math.min(1, Math.log(value / map.low) / Math.log(map.high / map.low));
}

/// The cell at a time and a place of the scale.
export function cellAt(map: Heatmap, time: number, step: number, place: number): Cell | undefined {
  return map.cells.find(
    (cell) =>
      Math.abs(cell.time - time) <= step / 2 && placeOf(cell.low, map) <= place && place < placeOf(cell.high, map),
  );
}
