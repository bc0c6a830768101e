// What query endpoints answer, and its shape for charts and tables.

import { type Labels, seriesText } from "../format";

export interface HistogramJson {
  count: string;
  sum: string;
  buckets?: [number, string, string, string][];
}

export interface Series {
  metric: Labels;
  value?: [number, string];
  values?: [number, string][];
  histogram?: [number, HistogramJson];
  histograms?: [number, HistogramJson][];
}

export interface QueryData {
  resultType: "vector" | "matrix" | "scalar" | "string";
  result: Series[] | [number, string];
}

export interface Grid {
  times: number[]; // Seconds, every step.
  names: string[];
  columns: (number | null)[][]; // One per series; null where there is no value to draw.
  histogramCount: number; // Series of native histograms, drawn by their count.
}

/// One value per step and series.
export function gridOf(series: Series[], start: number, end: number, step: number): Grid {
  const count = Math.max(0, Math.floor((end - start) / step + 1e-9) + 1);
  const times = Array.from({ length: count }, (_, i) => start + i * step);
  let histogramCount = 0;
  const columns = series.map((one) => {
    const column = new Array<number | null>(count).fill(null);
    const set = (t: number, v: number) => {
      const i = Math.round((t - start) / step);
      if (i >= 0 && i < count && Number.isFinite(v)) column[i] = v;
    };
    for (const [t, v] of one.values ?? []) set(t, Number(v));
    if (one.histograms) {
      ++histogramCount;
      for (const [t, h] of one.histograms) set(t, Number(h.count));
    }
    return column;
  });
  return { times, names: series.map((one) => seriesText(one.metric)), columns, histogramCount };
}

/// Sums of the columns so far, for drawing them on top of each other. A series counts as nothing
/// before its first and after its last value, and is bridged by zero in between.
export function stacked(columns: (number | null)[][]): (number | null)[][] {
  const length = columns[0]?.length ?? 0;
  const sum = new Array<number>(length).fill(0);
  return columns.map((column) => {
    const first = column.findIndex((v) => v !== null);
    const last = column.findLastIndex((v) => v !== null);
    return column.map((v, i) => {
      if (i < first || i > last || first < 0) return null;
      sum[i] = (sum[i] ?? 0) + (v ?? 0);
      return sum[i] ?? null;
    });
  });
}

/// For readers that cannot see the chart.
export function summaryOf(grid: Grid): string {
  let best = -Infinity;
  let where = "";
  grid.columns.forEach((column, s) => {
    for (const v of column) {
      if (v !== null && v > best) {
        best = v;
        where = grid.names[s] ?? "";
      }
    }
  });
  const what = `${grid.columns.length} series`;
  return best === -Infinity ? what : `${what}, greatest value ${best} of ${where}`;
}

/// Series to draw when there are too many: those with the greatest values.
export function greatest(grid: Grid, limit: number): Grid {
  if (grid.columns.length <= limit) return grid;
  const tops = grid.columns.map((column) =>
    column.reduce<number>((m, v) => (v !== null && v > m ? v : m), -Infinity),
  );
  const kept = tops
    .map((top, i) => [top, i] as const)
    .sort((a, b) => b[0] - a[0])
    .slice(0, limit)
    .map(([, i]) => i)
    .sort((a, b) => a - b);
  return {
    ...grid,
    names: kept.map((i) => grid.names[i] ?? ""),
    columns: kept.map((i) => grid.columns[i] ?? []),
  };
}
