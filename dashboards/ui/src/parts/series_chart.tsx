// A query drawn over a window, for pages that are not about queries.

import { lazy, Suspense } from "preact/compat";
import { useMemo } from "preact/hooks";
import type { Labels } from "../format";
import type { Extras } from "../query/chart";
import { gridOf, type QueryData, type Series } from "../query/result";
import { InsideLink, queryLink, Shown } from "./parts";
import { useAnswer } from "./use_answer";

const Chart = lazy(() => import("../query/chart").then((module) => ({ default: module.Chart })));

export interface Span {
  start: number; // Seconds, as the end and the step.
  end: number;
  step: number;
}

const kPoints = 250;

/// The last so many seconds, on multiples of the step.
export function spanBefore(nowMs: number, seconds: number): Span {
  const step = Math.max(1, Math.floor(seconds / kPoints));
  const end = Math.floor(nowMs / 1000 / step) * step;
  return { start: end - Math.floor(seconds / step) * step, end, step };
}

export function SeriesChart({
  title,
  query,
  span,
  name,
  extras,
  onSelect,
  empty,
}: {
  title: string;
  query: string;
  span: Span;
  name?: (labels: Labels) => string;
  extras?: Extras;
  onSelect: (startSeconds: number, endSeconds: number) => void;
  empty: string;
}) {
  const loaded = useAnswer<QueryData>("api/v1/query_range", { query, ...span });
  return (
    <article class="panel">
      <h2>
        {title}{" "}
        <InsideLink to="/query" search={queryLink(query)} class="aside">
          query
        </InsideLink>
      </h2>
      <Shown of={loaded}>
        {(data) => {
          const series = data.result as Series[];
          return series.length === 0 ? (
            <p class="dim">{empty}</p>
          ) : (
            <Drawn series={series} span={span} name={name} extras={extras} onSelect={onSelect} />
          );
        }}
      </Shown>
    </article>
  );
}

function Drawn({
  series,
  span,
  name,
  extras,
  onSelect,
}: {
  series: Series[];
  span: Span;
  name: ((labels: Labels) => string) | undefined;
  extras: Extras | undefined;
  onSelect: (startSeconds: number, endSeconds: number) => void;
}) {
  const grid = useMemo(() => {
    const all = gridOf(series, span.start, span.end, span.step);
    return name ? { ...all, names: series.map((one) => name(one.metric)) } : all;
  }, [series]);
  return (
    <Suspense fallback={<p class="dim">Loading …</p>}>
      <Chart grid={grid} isStacked={false} fromZero onSelect={onSelect} extras={{ height: 220, ...extras }} />
    </Suspense>
  );
}

export function windowSearch(startSeconds: number, endSeconds: number, more: Record<string, string> = {}) {
  return new URLSearchParams({
    ...more,
    start: String(Math.floor(startSeconds * 1e6)),
    end: String(Math.ceil(endSeconds * 1e6)),
  });
}
