// One panel: an expression, and its answer as a table, a graph or a plan.

import { lazy, Suspense } from "preact/compat";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, encode, get, isAbort, post, urlOf } from "../api";
import { bytes, count, dateTime, type Labels, parseDateTime, parseDuration, printDuration, seconds, seriesText } from "../format";
import { ErrorBox, InsideLink, Notes, SeriesName, Table } from "../parts/parts";
import { windowSearch } from "../parts/series_chart";
import { go } from "../router";
import { meantBy, traceQueryOf } from "../traces/window";
import type { Dot } from "./chart";
import { askGraph } from "./graph_client";
import type { GraphData } from "./graph_data";
import { hasBuckets } from "./heatmap";
import type { Picked } from "./heatmap_view";
import { refreshes, utc } from "../state";
import { Editor } from "./editor";
import { type Explanation, ExplainTree } from "./explain";
import { type Density, kHour, type Panel, stepOf, type Tab, windowOf } from "./panels";
import type { HistogramJson, QueryData, Series } from "./result";

const Chart = lazy(() => import("./chart").then((module) => ({ default: module.Chart })));

const WindowTraces = lazy(() => import("./window_traces").then((module) => ({ default: module.WindowTraces })));

const HeatmapView = lazy(() => import("./heatmap_view").then((module) => ({ default: module.HeatmapView })));
const Explorer = lazy(() => import("./explorer").then((module) => ({ default: module.Explorer })));

const kDrawnMax = 200;

interface Shown {
  panel: Panel;
  data: QueryData | undefined;
  graph: GraphData | undefined;
  explanation: Explanation | undefined;
  exemplars: ExemplarsJson[];
  window: { start: number; end: number; step: number };
  warnings: string[];
  infos: string[];
  tookMs: number;
}

async function ask(panel: Panel, drawnMax: number, signal: AbortSignal): Promise<Shown> {
  const begun = performance.now();
  const now = Date.now();
  const window = windowOf(panel, now);
  const shown = (rest: Partial<Shown>): Shown => ({
    panel,
    data: undefined,
    graph: undefined,
    explanation: undefined,
    exemplars: [],
    window,
    warnings: [],
    infos: [],
    ...rest,
    tookMs: performance.now() - begun,
  });
  const range = { query: panel.expr, start: window.start, end: window.end, step: window.step };
  const instant = { query: panel.expr, time: (panel.endMs ?? now) / 1000 };
  if (panel.tab === "explain") {
    const answer = await get<Explanation>("api/tarsier/v1/explain", { ...range, analyze: "true" }, signal);
    return shown({ ...answer, explanation: answer.data, data: undefined });
  }
  if (panel.tab !== "graph") return shown(await post<QueryData>("api/v1/query", instant, signal));
  const question = {
    url: new URL(urlOf("api/v1/query_range"), location.href).href,
    body: encode(range),
    window,
    drawnMax,
    withSeries: panel.heatmap,
  };
  const answer = await askGraph(question, signal);
  const graph = { graph: answer.data, warnings: answer.warnings, infos: answer.infos };
  if (!panel.exemplars) return shown(graph);
  const { start, end } = window;
  const exemplars = await post<ExemplarsJson[]>("api/v1/query_exemplars", { query: panel.expr, start, end }, signal);
  return shown({ ...graph, exemplars: exemplars.data });
}

export function PanelView({
  panel,
  onChange,
  onRemove,
}: {
  panel: Panel;
  onChange: (panel: Panel) => void;
  onRemove: (() => void) | undefined;
}) {
  const [text, setText] = useState(panel.expr);
  const [shown, setShown] = useState<Shown | undefined>();
  const [error, setError] = useState<ApiError | undefined>();
  const [running, setRunning] = useState(false);
  const [runs, setRuns] = useState(0);
  const [explores, setExplores] = useState(false);
  const abort = useRef<AbortController | undefined>(undefined);

  useEffect(() => setText(panel.expr), [panel.expr]);

  const key = JSON.stringify(panel);
  const [drawsAll, setDrawsAll] = useState("");
  useEffect(() => {
    if (panel.expr.trim() === "") return;
    const own = new AbortController();
    abort.current = own;
    setRunning(true);
    ask(panel, drawsAll === key ? Infinity : kDrawnMax, own.signal)
      .then((next) => {
        setShown(next);
        setError(undefined);
        setRunning(false);
      })
      .catch((problem: unknown) => {
        if (!isAbort(problem)) {
          setError(problem instanceof ApiError ? problem : new ApiError("internal", String(problem), 0));
        }
        if (abort.current === own) setRunning(false);
      });
    return () => own.abort();
  }, [key, drawsAll === key, runs, refreshes.value]);

  const run = () => {
    if (text === panel.expr) setRuns(runs + 1);
    else onChange({ ...panel, expr: text });
  };
  const tab = (name: Tab, title: string) => (
    <button
      type="button"
      role="tab"
      aria-selected={panel.tab === name}
      class="tab"
      onClick={() => onChange({ ...panel, expr: text, tab: name })}
    >
      {title}
    </button>
  );
  const current = shown && shown.panel.tab === panel.tab ? shown : undefined;

  return (
    <section class="panel">
      <div class="ask">
        <Editor given={panel.expr} onText={setText} onRun={run} />
        {running ? (
          <button type="button" onClick={() => abort.current?.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" class="primary" onClick={run}>
            Execute
          </button>
        )}
        <button type="button" aria-expanded={explores} onClick={() => setExplores(!explores)}>
          Metrics
        </button>
        {onRemove && (
          <button type="button" onClick={onRemove} aria-label="Remove this panel">
            ✕
          </button>
        )}
      </div>
      {explores && (
        <Suspense fallback={<p class="dim">Loading …</p>}>
          <Explorer
            onClose={() => setExplores(false)}
            onInsert={(selector) => {
              setExplores(false);
              onChange({ ...panel, expr: selector });
            }}
          />
        </Suspense>
      )}
      <CostLine text={text} panel={panel} />
      <div class="tabs">
        <div role="tablist">
          {tab("table", "Table")}
          {tab("graph", "Graph")}
          {tab("explain", "Explain")}
        </div>
        <span class="grow" />
        <span class="dim" aria-live="polite">
          {running ? "running …" : current ? `${sizeText(current)} in ${seconds(current.tookMs / 1000)}` : ""}
        </span>
      </div>
      <Controls panel={panel} onChange={onChange} />
      {error && <ErrorBox error={error} />}
      {current && <Notes warnings={current.warnings} infos={current.infos} />}
      <div class={running || error ? "stale" : ""}>
        {current && <Answer shown={current} onChange={onChange} onAll={() => setDrawsAll(key)} />}
        {!current && !error && panel.expr.trim() === "" && (
          <p class="dim">
            Type an expression, such as <code>up</code> or <code>rate(prometheus_http_requests_total[5m])</code>,
            and press Enter.
          </p>
        )}
      </div>
    </section>
  );
}

function sizeText(shown: Shown): string {
  if (shown.explanation) return "plan";
  if (shown.graph) return `${shown.graph.total} series`;
  const result = shown.data?.result ?? [];
  return shown.data?.resultType === "scalar" || shown.data?.resultType === "string"
    ? "1 value"
    : `${result.length} series`;
}

/// What the query would read, shown before it runs.
function CostLine({ text, panel }: { text: string; panel: Panel }) {
  const [cost, setCost] = useState("");
  useEffect(() => {
    setCost("");
    if (text.trim() === "") return;
    const own = new AbortController();
    const timer = setTimeout(() => {
      const window = windowOf(panel, Date.now());
      const times =
        panel.tab === "table"
          ? { time: window.end }
          : { start: window.start, end: window.end, step: window.step };
      get<{ series: number; samples: number; memoryBytes: number }>(
        "api/v1/query_cost",
        { query: text, ...times },
        own.signal,
      ).then(
        ({ data }) =>
          setCost(
            `reads about ${count(data.samples)} samples of ${count(data.series)} series, needs ${bytes(data.memoryBytes)}`,
          ),
        () => setCost(""),
      );
    }, 400);
    return () => {
      clearTimeout(timer);
      own.abort();
    };
  }, [text, panel.tab, panel.rangeMs]);
  return <div class="cost dim">{cost}</div>;
}

function Controls({ panel, onChange }: { panel: Panel; onChange: (panel: Panel) => void }) {
  const [range, setRange] = useState(printDuration(panel.rangeMs));
  const [end, setEnd] = useState("");
  useEffect(() => setRange(printDuration(panel.rangeMs)), [panel.rangeMs]);
  useEffect(
    () => setEnd(panel.endMs === undefined ? "" : dateTime(panel.endMs, utc.value)),
    [panel.endMs, utc.value],
  );
  const setRangeMs = (ms: number) => onChange({ ...panel, rangeMs: Math.max(1000, ms) });
  const move = (sign: number) => {
    const by = panel.tab === "table" ? kHour : panel.rangeMs / 2;
    onChange({ ...panel, endMs: (panel.endMs ?? Date.now()) + sign * by });
  };
  const isGraph = panel.tab !== "table";
  return (
    <div class="controls">
      {isGraph && (
        <>
          <button type="button" aria-label="Shorter" onClick={() => setRangeMs(panel.rangeMs / 2)}>
            −
          </button>
          <input
            aria-label="Range"
            size={6}
            value={range}
            onInput={(e) => setRange(e.currentTarget.value)}
            onChange={() => {
              const ms = parseDuration(range);
              if (ms) setRangeMs(ms);
              else setRange(printDuration(panel.rangeMs));
            }}
          />
          <button type="button" aria-label="Longer" onClick={() => setRangeMs(panel.rangeMs * 2)}>
            +
          </button>
        </>
      )}
      <button type="button" aria-label="Earlier" onClick={() => move(-1)}>
        ◀
      </button>
      <input
        aria-label={isGraph ? "End of the range" : "Time"}
        size={19}
        placeholder="now"
        value={end}
        onInput={(e) => setEnd(e.currentTarget.value)}
        onChange={() => onChange({ ...panel, endMs: end === "" ? undefined : (parseDateTime(end, utc.value) ?? panel.endMs) })}
      />
      <button type="button" aria-label="Later" onClick={() => move(1)}>
        ▶
      </button>
      {panel.endMs !== undefined && (
        <button type="button" onClick={() => onChange({ ...panel, endMs: undefined })}>
          Now
        </button>
      )}
      {panel.tab === "graph" && (
        <>
          <select
            aria-label="Resolution"
            value={panel.stepSeconds === undefined ? panel.density : "custom"}
            onChange={(e) => {
              const value = e.currentTarget.value;
              onChange(
                value === "custom"
                  ? { ...panel, stepSeconds: stepOf(panel) }
                  : { ...panel, stepSeconds: undefined, density: value as Density },
              );
            }}
          >
            <option value="low">Low resolution</option>
            <option value="medium">Medium resolution</option>
            <option value="high">High resolution</option>
            <option value="custom">Step …</option>
          </select>
          {panel.stepSeconds !== undefined && (
            <input
              aria-label="Step in seconds"
              size={5}
              value={String(panel.stepSeconds)}
              onChange={(e) => {
                const step = Number(e.currentTarget.value);
                if (step > 0) onChange({ ...panel, stepSeconds: step });
              }}
            />
          )}
          <label>
            <input
              type="checkbox"
              checked={panel.stacked && !panel.heatmap}
              onChange={(e) => onChange({ ...panel, stacked: e.currentTarget.checked, heatmap: false })}
            />{" "}
            Stacked
          </label>
          <label>
            <input
              type="checkbox"
              checked={panel.heatmap}
              onChange={(e) => onChange({ ...panel, heatmap: e.currentTarget.checked })}
            />{" "}
            Heatmap
          </label>
          <label>
            <input
              type="checkbox"
              checked={panel.exemplars}
              onChange={(e) => onChange({ ...panel, exemplars: e.currentTarget.checked })}
            />{" "}
            Exemplars
          </label>
          <label>
            <input
              type="checkbox"
              checked={panel.fromZero}
              onChange={(e) => onChange({ ...panel, fromZero: e.currentTarget.checked })}
            />{" "}
            From zero
          </label>
        </>
      )}
    </div>
  );
}

const kNothing = <p class="dim">The query was answered, and there is no data at that time.</p>;

function Answer({ shown, onChange, onAll }: { shown: Shown; onChange: (panel: Panel) => void; onAll: () => void }) {
  if (shown.explanation) return <ExplainTree explanation={shown.explanation} />;
  if (shown.graph) {
    return shown.graph.total === 0 ? kNothing : <Graph graph={shown.graph} shown={shown} onChange={onChange} onAll={onAll} />;
  }
  const data = shown.data;
  if (!data) return null;
  if (data.resultType === "scalar" || data.resultType === "string") {
    return (
      <p>
        {data.resultType}: <b>{(data.result as [number, string])[1]}</b>
      </p>
    );
  }
  const series = data.result as Series[];
  return series.length === 0 ? kNothing : <TableAnswer series={series} />;
}

function Graph({
  graph,
  shown,
  onChange,
  onAll,
}: {
  graph: GraphData;
  shown: Shown;
  onChange: (panel: Panel) => void;
  onAll: () => void;
}) {
  const { grid, series, metrics } = graph;
  const { start, end } = shown.window;
  const dots = useMemo(() => dotsOf(shown.exemplars), [shown]);
  const zoom = (from: number, to: number) =>
    onChange({
      ...shown.panel,
      endMs: Math.round(to) * 1000,
      rangeMs: Math.max(1000, Math.round(to - from) * 1000),
    });
  if (shown.panel.heatmap && hasBuckets(series)) {
    return (
      <Suspense fallback={<p class="dim">Loading …</p>}>
        <HeatmapView
          series={series}
          window={shown.window}
          onSelect={zoom}
          onPick={(cell) => go("/traces", cellSearch(shown.panel.expr, metrics, cell))}
        />
        {shown.panel.endMs !== undefined && <WindowTraces expr={shown.panel.expr} metrics={metrics} start={start} end={end} />}
      </Suspense>
    );
  }
  return (
    <>
      {shown.panel.heatmap && (
        <div class="box">
          ℹ A heatmap is drawn of buckets: <code>sum by (le) (rate(…_bucket[5m]))</code>, or of native histograms.
        </div>
      )}
      {grid.columns.length < graph.total && (
        <div class="box warn">
          Showing the {grid.columns.length} greatest of {graph.total} series. Aggregating reads better:{" "}
          <code>sum by (label) (…)</code>.{" "}
          <button type="button" class="small" onClick={onAll}>
            Draw all
          </button>
        </div>
      )}
      {grid.histogramCount > 0 && (
        <div class="box">
          ℹ {grid.histogramCount} series are native histograms; their counts are drawn.{" "}
          <button type="button" class="small" onClick={() => onChange({ ...shown.panel, heatmap: true })}>
            Heatmap
          </button>
        </div>
      )}
      <Suspense fallback={<p class="dim">Loading …</p>}>
        <Chart
          grid={grid}
          isStacked={shown.panel.stacked}
          fromZero={shown.panel.fromZero}
          onSelect={zoom}
          extras={{ dots, onDot: (dot) => go(`/trace/${dot.trace}`) }}
        />
        {shown.panel.exemplars && <ExemplarList dots={dots} />}
        {shown.panel.endMs !== undefined && (
          <WindowTraces expr={shown.panel.expr} metrics={metrics} start={start} end={end} />
        )}
      </Suspense>
    </>
  );
}

interface ExemplarsJson {
  seriesLabels: Labels;
  exemplars: { labels: Labels; value: string; timestamp: number }[];
}

const kDotsMax = 500;

/// Exemplars that name a trace.
function dotsOf(answer: ExemplarsJson[]): Dot[] {
  const dots = answer.flatMap((one) =>
    one.exemplars.flatMap((exemplar) => {
      const trace = exemplar.labels.trace_id ?? exemplar.labels.traceID ?? "";
      const value = Number(exemplar.value);
      return /^[0-9a-fA-F]{16,32}$/.test(trace) && Number.isFinite(value)
        ? [{ time: exemplar.timestamp, value, trace, text: seriesText(one.seriesLabels) }]
        : [];
    }),
  );
  return dots.slice(-kDotsMax);
}

/// The same for readers without a pointer.
function ExemplarList({ dots }: { dots: Dot[] }) {
  if (dots.length === 0) return <p class="dim">There are no exemplars with traces in this window.</p>;
  return (
    <details>
      <summary>{dots.length} exemplars: the diamonds</summary>
      <ul class="plainlist">
        {[...dots]
          .sort((a, b) => b.value - a.value)
          .slice(0, 50)
          .map((dot) => (
            <li key={dot.trace + dot.text}>
              <InsideLink to={`/trace/${dot.trace}`}>{dot.trace}</InsideLink> {dot.value}{" "}
              <span class="dim">
                {dateTime(dot.time * 1000, utc.value)} {dot.text}
              </span>
            </li>
          ))}
      </ul>
    </details>
  );
}

/// The traces of a cell: of its time and, where values are durations, of its durations.
function cellSearch(expr: string, metrics: Labels[], cell: Picked): URLSearchParams {
  const q = traceQueryOf(meantBy(expr, metrics));
  const isDuration = /seconds|latency|duration/.test(expr);
  const range = isDuration ? `duration >= ${cell.low}s && duration <= ${cell.high}s` : "";
  const inner = q.replace(/^\{\s*|\s*\}$/g, "");
  const both = [inner, range].filter(Boolean).join(" && ");
  return windowSearch(cell.start, cell.end, { q: both ? `{ ${both} }` : "{}" });
}

function TableAnswer({ series }: { series: Series[] }) {
  return (
    <Table
      caption="Result"
      rows={series}
      keyOf={(one) => JSON.stringify(one.metric)}
      columns={[
        {
          name: "Series",
          cell: (one) => <SeriesName labels={one.metric} />,
          sort: (one) => JSON.stringify(one.metric),
        },
        {
          name: "Value",
          number: true,
          cell: (one) => <Value one={one} />,
          sort: (one) => Number(one.value?.[1] ?? one.histogram?.[1].count ?? 0),
        },
      ]}
    />
  );
}

function Value({ one }: { one: Series }) {
  if (one.value) return <>{one.value[1]}</>;
  if (one.histogram) return <HistogramValue histogram={one.histogram[1]} />;
  const kMany = 200;
  const values = one.values ?? [];
  return (
    <div class="samples">
      {values.slice(-kMany).map(([t, v]) => (
        <div key={t}>
          {v} <span class="dim">@ {dateTime(t * 1000, utc.value)}</span>
        </div>
      ))}
      {(one.histograms ?? []).slice(-kMany).map(([t, h]) => (
        <div key={t}>
          <HistogramValue histogram={h} /> <span class="dim">@ {dateTime(t * 1000, utc.value)}</span>
        </div>
      ))}
    </div>
  );
}

const kBrackets = [
  ["(", "]"],
  ["[", ")"],
  ["(", ")"],
  ["[", "]"],
] as const;

function HistogramValue({ histogram }: { histogram: HistogramJson }) {
  const buckets = histogram.buckets ?? [];
  const top = buckets.reduce((m, bucket) => Math.max(m, Number(bucket[3])), 0);
  return (
    <details>
      <summary>
        count {histogram.count}, sum {histogram.sum}
      </summary>
      <table>
        <tbody>
          {buckets.map(([rule, low, high, n]) => (
            <tr key={low + high}>
              <td class="number">
                {(kBrackets[rule] ?? kBrackets[2])[0]}
                {low}, {high}
                {(kBrackets[rule] ?? kBrackets[2])[1]}
              </td>
              <td>
                <meter value={Number(n)} max={top} />
              </td>
              <td class="number">{n}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
