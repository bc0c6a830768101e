// What a graph is drawn of, made of the server's answer away from the page: an answer may be tens of
// megabytes, and the page must go on answering.

import type { Labels } from "../format";
import { type Grid, greatest, gridOf, type QueryData, type Series } from "./result";

export interface GraphQuestion {
  url: string;
  body: string;
  window: { start: number; end: number; step: number };
  drawnMax: number;
  withSeries: boolean; // As a heatmap needs them.
}

export interface GraphData {
  resultType: QueryData["resultType"];
  grid: Grid; // Of the greatest series only.
  total: number; // Series there are.
  metrics: Labels[]; // Of those in the grid.
  series: Series[]; // Empty unless asked for.
}

export interface GraphFault {
  type: string;
  message: string;
  status: number;
}

export type GraphAnswer =
  | { data: GraphData; warnings: string[]; infos: string[] }
  | { fault: GraphFault };

/// The answer's text as what is drawn.
export function graphAnswerOf(text: string, status: number, question: GraphQuestion): GraphAnswer {
  let body: { status?: string; data?: QueryData; errorType?: string; error?: string; warnings?: string[]; infos?: string[] };
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    return { fault: { type: "http", message: `${status}: ${text.slice(0, 300)}`, status } };
  }
  if (body.status !== "success" || !body.data) {
    return { fault: { type: body.errorType ?? "http", message: body.error ?? `${status}`, status } };
  }
  const series = Array.isArray(body.data.result) && body.data.resultType === "matrix" ? (body.data.result as Series[]) : [];
  const { start, end, step } = question.window;
  const all = gridOf(series, start, end, step);
  const grid = greatest(all, question.drawnMax);
  const drawn = new Set(grid.names);
  return {
    data: {
      resultType: body.data.resultType,
      grid,
      total: series.length,
      metrics: series.filter((_, i) => drawn.has(all.names[i] ?? "")).map((one) => one.metric),
      series: question.withSeries ? series : [],
    },
    warnings: body.warnings ?? [],
    infos: body.infos ?? [],
  };
}
