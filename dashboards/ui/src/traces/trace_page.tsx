// One trace as a waterfall. Only the rows in view exist, so its length does not matter.

import { lazy, Suspense } from "preact/compat";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, urlOf } from "../api";
import { dateTime, seconds } from "../format";
import { Badge, CopyButton, ErrorBox, InsideLink } from "../parts/parts";
import { colorsOf } from "../query/colors";
import { place, setParameters } from "../router";
import { ObjectivesOf } from "../slo/parts";
import { Explained } from "../sampling/explained";
import { theme, utc } from "../state";
import { fetchTrace, type OpenTrace } from "./fetch";
import type { SpanAnswer } from "./trace_worker";
import { selfTime, type Shape, slowestOf, visibleRows } from "./tree";
import type { TagJson } from "./types";

const kRowHeight = 28;
const kOverscan = 10;
const kViewHeight = 560;

export function TracePage() {
  const id = place.value.path.split("/")[2] ?? "";
  const [trace, setTrace] = useState<OpenTrace | undefined>();
  const [error, setError] = useState<ApiError | undefined>();
  useEffect(() => {
    let isGone = false;
    let own: OpenTrace | undefined;
    setTrace(undefined);
    setError(undefined);
    fetchTrace(id).then(
      (opened) => {
        own = opened;
        if (isGone) opened.close();
        else setTrace(opened);
      },
      (problem: unknown) => {
        if (!isGone) setError(problem instanceof ApiError ? problem : new ApiError("network", String(problem), 0));
      },
    );
    return () => {
      isGone = true;
      own?.close();
    };
  }, [id]);
  if (error) {
    return (
      <>
        <h1>Trace {id}</h1>
        <ErrorBox error={error} />
        <Explained id={id} />
        <p>
          <InsideLink to="/sampling" search={new URLSearchParams({ trace: id })}>
            What sampling keeps
          </InsideLink>
        </p>
      </>
    );
  }
  return trace ? <Waterfall trace={trace} /> : <p class="dim">Loading …</p>;
}

const kViews = [
  ["waterfall", "Waterfall"],
  ["flame", "Flame"],
  ["statistics", "Statistics"],
  ["compare", "Compare"],
] as const;

const kLate = () => import("./views");
const Flame = lazy(() => kLate().then((module) => ({ default: module.Flame })));
const Statistics = lazy(() => kLate().then((module) => ({ default: module.Statistics })));
const Compare = lazy(() => kLate().then((module) => ({ default: module.Compare })));

function Waterfall({ trace }: { trace: OpenTrace }) {
  const tree = trace.shape;
  const [folded, setFolded] = useState<ReadonlySet<number>>(new Set());
  const [chosen, setChosen] = useState<number | undefined>();
  const wantedView = place.value.search.get("view");
  const view = kViews.find(([name]) => name === wantedView)?.[0] ?? "waterfall";
  const find = place.value.search.get("uiFind") ?? "";
  const rows = useMemo(() => visibleRows(tree, folded), [tree, folded]);
  const [hits, setHits] = useState<ReadonlySet<number>>(new Set());
  useEffect(() => {
    let isOld = false;
    if (find === "") setHits(new Set());
    else void trace.find(find).then((rows) => !isOld && setHits(new Set(rows)));
    return () => {
      isOld = true;
    };
  }, [trace, find]);
  const services = useMemo(() => [...new Set(tree.services)], [tree]);
  const isDark =
    theme.value === "dark" || (theme.value === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  const colors = useMemo(() => colorsOf(services, isDark), [services, isDark]);
  const colorOf = new Map(services.map((service, i) => [service, colors[i] ?? ""]));
  const errors = tree.isError.reduce((n, e) => n + e, 0);

  const toggle = (row: number) => {
    const next = new Set(folded);
    if (!next.delete(row)) next.add(row);
    setFolded(next);
  };
  const foldAll = () => {
    const all = new Set<number>();
    tree.size.forEach((size, row) => size > 1 && (tree.depth[row] ?? 0) > 0 && all.add(row));
    setFolded(all);
  };
  return (
    <>
      <h1>
        {tree.services[0]}: {tree.names[0]}
      </h1>
      <p>
        <code>{tree.traceID}</code> <CopyButton text={tree.traceID} label="Copy id" /> · {tree.names.length} spans of{" "}
        {services.length} services · {seconds(tree.duration / 1e6)} · {dateTime(tree.began / 1000, utc.value)} ·{" "}
        <Badge health={errors > 0 ? "bad" : "good"}>{errors > 0 ? `${errors} errors` : "no errors"}</Badge> ·{" "}
        <a href={urlOf(`jaeger/api/traces/${tree.traceID}`)}>JSON</a>
      </p>
      {tree.warnings.map((text) => (
        <div class="box warn" key={text}>
          ⚠ {text}
        </div>
      ))}
      <div class="controls">
        <input
          type="search"
          id="search"
          class="filter"
          aria-label="Find in this trace"
          placeholder="Find in this trace  ( / )"
          value={find}
          onInput={(e) => setParameters({ uiFind: e.currentTarget.value })}
        />
        {find && <span aria-live="polite">{hits.size} found</span>}
        <button type="button" onClick={() => setChosen(slowestOf(tree))} title="The span with the most time of its own">
          Slowest span
        </button>
        <button type="button" onClick={foldAll}>
          Fold all
        </button>
        <button type="button" onClick={() => setFolded(new Set())}>
          Unfold all
        </button>
      </div>
      <div role="tablist" class="tabs">
        {kViews.map(([name, title]) => (
          <button
            type="button"
            role="tab"
            key={name}
            class="tab"
            aria-selected={view === name}
            onClick={() => setParameters({ view: name === "waterfall" ? "" : name }, false)}
          >
            {title}
          </button>
        ))}
      </div>
      {view !== "waterfall" && (
        <Suspense fallback={<p class="dim">Loading …</p>}>
          {view === "flame" ? <Flame tree={tree} colorOf={colorOf} /> : view === "statistics" ? <Statistics tree={tree} /> : <Compare tree={tree} />}
        </Suspense>
      )}
      {view === "waterfall" && <div class="trace">
        <Rows tree={tree} rows={rows} folded={folded} chosen={chosen} hits={hits} colorOf={colorOf} onToggle={toggle} onChoose={setChosen} />
        {chosen !== undefined && <Details key={chosen} trace={trace} row={chosen} />}
      </div>}
    </>
  );
}

function Rows({
  tree,
  rows,
  folded,
  chosen,
  hits,
  colorOf,
  onToggle,
  onChoose,
}: {
  tree: Shape;
  rows: Uint32Array;
  folded: ReadonlySet<number>;
  chosen: number | undefined;
  hits: ReadonlySet<number>;
  colorOf: Map<string, string>;
  onToggle: (row: number) => void;
  onChoose: (row: number) => void;
}) {
  const holder = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const first = Math.max(0, Math.floor(top / kRowHeight) - kOverscan);
  const last = Math.min(rows.length, Math.ceil((top + kViewHeight) / kRowHeight) + kOverscan);
  const total = Math.max(1, tree.duration);
  useEffect(() => {
    const place = chosen === undefined ? -1 : rows.indexOf(chosen);
    const view = holder.current;
    if (place < 0 || !view) return;
    const y = place * kRowHeight;
    if (y < view.scrollTop || y + kRowHeight > view.scrollTop + kViewHeight) view.scrollTop = y - kViewHeight / 2;
  }, [chosen, rows]);
  return (
    <div
      class="waterfall"
      ref={holder}
      data-spans={tree.names.length}
      data-rows={rows.length}
      onScroll={(e) => setTop(e.currentTarget.scrollTop)}
      role="list"
      aria-label="Spans"
      tabIndex={0}
    >
      <div class="spans" style={{ height: `${rows.length * kRowHeight}px` }}>
        {Array.from(rows.subarray(first, last), (row, k) => {
          const start = ((tree.start[row] ?? 0) / total) * 100;
          const width = Math.max(0.15, (((tree.end[row] ?? 0) - (tree.start[row] ?? 0)) / total) * 100);
          return (
            <div
              role="listitem"
              key={row}
              style={{ transform: `translateY(${(first + k) * kRowHeight}px)` }}
              class={`span${row === chosen ? " chosen" : ""}${hits.has(row) ? " hit" : ""}`}
            >
              <div class="name" style={{ paddingLeft: `${Math.min(tree.depth[row] ?? 0, 24) * 12}px` }}>
                {(tree.size[row] ?? 1) > 1 ? (
                  <button type="button" class="plain fold" aria-expanded={!folded.has(row)} aria-label="Children" onClick={() => onToggle(row)}>
                    {folded.has(row) ? "▸" : "▾"}
                  </button>
                ) : (
                  <span class="fold" />
                )}
                <button type="button" class="plain" onClick={() => onChoose(row)}>
                  {tree.isError[row] ? <Badge health="bad">error</Badge> : null} <b>{tree.services[row]}</b>{" "}
                  {tree.names[row]}
                  {tree.isOrphan[row] ? <i> (its parent is missing)</i> : null}
                </button>
              </div>
              <svg class="bar" width="100%" height={kRowHeight} aria-hidden="true" onClick={() => onChoose(row)}>
                <rect x={`${start}%`} width={`${width}%`} y="8" height="12" rx="2" fill={colorOf.get(tree.services[row] ?? "") ?? ""} />
                {tree.isCritical[row] ? <rect x={`${start}%`} width={`${width}%`} y="21" height="2" fill="currentColor" /> : null}
                <text {...labelPlace(start, width)} y="18">
                  {seconds(((tree.end[row] ?? 0) - (tree.start[row] ?? 0)) / 1e6)}
                </text>
              </svg>
            </div>
          );
        })}
      </div>
    </div>
  );
}

/// Behind the bar where there is room, else before it, else on it.
function labelPlace(start: number, width: number) {
  if (start + width < 85) return { x: `${start + width}%`, dx: 4 };
  return start > 15 ? { x: `${start}%`, dx: -4, "text-anchor": "end" as const } : { x: `${start}%`, dx: 4 };
}

function Details({ trace, row }: { trace: OpenTrace; row: number }) {
  const tree = trace.shape;
  const [answer, setAnswer] = useState<SpanAnswer | undefined>();
  useEffect(() => {
    let isOld = false;
    trace.spanAt(row).then(
      (next) => !isOld && setAnswer(next),
      () => undefined,
    );
    return () => {
      isOld = true;
    };
  }, [trace, row]);
  if (!answer) return null;
  const { span } = answer;
  const duration = (tree.end[row] ?? 0) - (tree.start[row] ?? 0);
  return (
    <aside class="panel details" aria-label="Span">
      <h2>{span.operationName}</h2>
      <p>
        {tree.services[row]} · <code>{span.spanID}</code>
      </p>
      <p>
        {seconds(duration / 1e6)}, {seconds(selfTime(tree, row) / 1e6)} of its own · {seconds((tree.start[row] ?? 0) / 1e6)} after
        the start{tree.isCritical[row] ? " · on the critical path" : ""}
      </p>
      <p>
        <InsideLink to={`/services/${encodeURIComponent(tree.services[row] ?? "")}`}>Service {tree.services[row]}</InsideLink>
      </p>
      <ObjectivesOf service={tree.services[row] ?? ""} />
      <Tags title="Attributes" tags={span.tags} />
      <Tags title="Process" tags={answer.process} />
      {span.logs.length > 0 && <h3>Events</h3>}
      {span.logs.map((log, i) => (
        <div key={i}>
          <span class="dim">{seconds((log.timestamp - tree.began) / 1e6)}</span>
          <Tags title="" tags={log.fields} />
        </div>
      ))}
      {span.references
        .filter((reference) => reference.traceID !== tree.traceID)
        .map((reference) => (
          <p key={reference.spanID}>
            Linked: <InsideLink to={`/trace/${reference.traceID}`}>{reference.traceID}</InsideLink>
          </p>
        ))}
    </aside>
  );
}

function Tags({ title, tags }: { title: string; tags: TagJson[] }) {
  if (tags.length === 0) return null;
  return (
    <>
      {title && <h3>{title}</h3>}
      <table>
        <tbody>
          {tags.map((tag, i) => (
            <tr key={i}>
              <th scope="row">{tag.key}</th>
              <td>
                <code>{String(tag.value)}</code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
