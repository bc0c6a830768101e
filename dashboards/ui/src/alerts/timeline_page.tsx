// Why an alert fires, or does not: what was evaluated, when it was true, what it became of, and who
// was told, on one axis of time.

import { lazy, Suspense } from "preact/compat";
import { useMemo } from "preact/hooks";
import { dateTime, type Labels } from "../format";
import { Badge, type Health, InsideLink, LabelList, queryLink, Shown, Table, Time } from "../parts/parts";
import { windowSearch } from "../parts/series_chart";
import { useAnswer } from "../parts/use_answer";
import type { Extras } from "../query/chart";
import type { Grid } from "../query/result";
import { go, place, setParameters } from "../router";
import { ObjectivesOf } from "../slo/parts";
import { utc } from "../state";
import { runsOf, type Stretch, stretchesOf, type TickJson, type TimelineJson } from "./types";

const Chart = lazy(() => import("../query/chart").then((module) => ({ default: module.Chart })));

const kHealth: Record<string, Health> = { firing: "bad", pending: "warn", inactive: "good", resolved: "good", delivered: "good", queued: "warn", dead: "bad" };

const kWindows = ["30m", "1h", "6h", "1d"];
const kSeconds: Record<string, number> = { "30m": 1800, "1h": 3600, "6h": 21600, "1d": 86400 };

export function TimelinePage() {
  const id = place.value.path.split("/")[2] ?? "";
  const search = place.value.search;
  const range = search.get("range") ?? "";
  const fixed = Number(search.get("start")) > 0 && Number(search.get("end")) > 0;
  const now = Math.floor(Date.now() / 5000) * 5;
  const seconds = kSeconds[range];
  const parameters = fixed
    ? { start: Number(search.get("start")), end: Number(search.get("end")) }
    : seconds
      ? { start: now - seconds, end: now }
      : {};
  const loaded = useAnswer<TimelineJson>(`api/tarsier/v1/alerts/${id}/timeline`, parameters);
  return (
    <>
      <div class="controls" role="group" aria-label="Range">
        {kWindows.map((one) => (
          <button
            type="button"
            key={one}
            aria-pressed={!fixed && range === one}
            onClick={() => setParameters({ range: one, start: "", end: "" }, false)}
          >
            Last {one}
          </button>
        ))}
        <InsideLink to="/alerts">All alerts</InsideLink>
      </div>
      <Shown of={loaded}>{(timeline) => <Timeline timeline={timeline} />}</Shown>
    </>
  );
}

function stateOf(timeline: TimelineJson): string {
  const own = timeline.events.filter((event) => event.event !== "started" && event.event !== "reloaded");
  return own.at(-1)?.event ?? "";
}

/// The query over the time that is looked at, with room to its sides.
function graphOf(timeline: TimelineJson): URLSearchParams {
  const search = queryLink(timeline.query);
  const minutes = Math.max(1, Math.round((Date.parse(timeline.end) - Date.parse(timeline.start)) / 60_000));
  search.set("g0.range_input", `${minutes}m`);
  search.set("g0.end_input", dateTime(Date.parse(timeline.end), true));
  if (timeline.labels.service) search.set("service", timeline.labels.service);
  return search;
}

function serviceOf(labels: Labels): string {
  return labels.service ?? labels.service_name ?? labels.sloth_service ?? "";
}

function Timeline({ timeline }: { timeline: TimelineJson }) {
  const state = stateOf(timeline);
  const service = serviceOf(timeline.labels);
  const isSlo = timeline.owner.startsWith("slo;");
  return (
    <>
      <h1>
        {timeline.labels.alertname ?? timeline.id}{" "}
        {state && <Badge health={kHealth[state] ?? "none"}>{state}</Badge>}
      </h1>
      <p class="cause" data-cause role="status">
        {timeline.cause}.
      </p>
      <p>
        <LabelList labels={timeline.labels} omit={["alertname"]} />
      </p>
      <p>
        <InsideLink to="/query" search={graphOf(timeline)}>
          Graph of the expression
        </InsideLink>{" "}
        {isSlo && (
          <>
            ·{" "}
            <InsideLink to={`/slos/${encodeURIComponent(timeline.owner.slice(4))}`}>
              Objective {timeline.owner.slice(4)}
            </InsideLink>
          </>
        )}
      </p>
      <Values timeline={timeline} service={service} />
      <Lanes timeline={timeline} />
      <Events timeline={timeline} />
      {service && !isSlo && <ObjectivesOf service={service} />}
      <p>
        <code>{timeline.query}</code>
        {timeline.for !== "0s" && ` for ${timeline.for}`}
      </p>
    </>
  );
}

function gridOfTicks(ticks: TickJson[]): Grid {
  const names = [...new Set(ticks.flatMap((tick) => tick.values.map((one) => one.name)))].slice(0, 20);
  return {
    times: ticks.map((tick) => Date.parse(tick.at) / 1000),
    names,
    columns: names.map((name) => ticks.map((tick) => tick.values.find((one) => one.name === name)?.value ?? null)),
    histogramCount: 0,
  };
}

function Values({ timeline, service }: { timeline: TimelineJson; service: string }) {
  const grid = useMemo(() => gridOfTicks(timeline.ticks), [timeline]);
  if (grid.names.length === 0) return <p class="dim">The expression gave no values in this time.</p>;
  const thresholds = [...new Set(timeline.ticks.flatMap((tick) => tick.values.flatMap((one) => (one.threshold === undefined ? [] : [one.threshold]))))];
  const extras: Extras = {
    height: 240,
    levels: thresholds.slice(0, 5).map((value) => ({ value, text: `threshold ${Number(value.toPrecision(4))}` })),
    moments: timeline.events.map((event) => ({ time: Date.parse(event.at) / 1000, text: event.event })),
    hint: "Drag over the moment that matters to see the kept traces of it.",
  };
  return (
    <article class="panel">
      <h2>What was evaluated</h2>
      <Suspense fallback={<p class="dim">Loading …</p>}>
        <Chart
          grid={grid}
          isStacked={false}
          fromZero
          extras={extras}
          onSelect={(start, end) => go("/traces", windowSearch(start, end, service ? { service } : {}))}
        />
      </Suspense>
    </article>
  );
}

const kClasses: Record<string, string> = { firing: "bad", pending: "warn", true: "bad", false: "good", inactive: "good", "no data": "none" };

/// Stretches of time as bars: told by word and colour, and read out as a list.
function Lane({ title, stretches, start, end }: { title: string; stretches: Stretch[]; start: number; end: number }) {
  const total = Math.max(1, end - start);
  return (
    <div class="lane">
      <b>{title}</b>
      <ul aria-label={title}>
        {stretches.map((one) => {
          const width = ((one.to - one.from) / total) * 100;
          return (
            <li
              key={one.from}
              class={kClasses[one.state] ?? "none"}
              style={{ left: `${((one.from - start) / total) * 100}%`, width: `${width}%` }}
              title={`${one.state}: ${dateTime(one.from, utc.value)} to ${dateTime(one.to, utc.value)}`}
            >
              <span class={width < 6 ? "hidden" : ""}>{one.state}</span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function Marks({ title, marks, start, end }: { title: string; marks: { at: number; text: string }[]; start: number; end: number }) {
  if (marks.length === 0) return null;
  const total = Math.max(1, end - start);
  return (
    <div class="lane">
      <b>{title}</b>
      <ul aria-label={title}>
        {marks.map((mark) => (
          <li
            key={`${mark.at}${mark.text}`}
            class="mark"
            style={{ left: `${((mark.at - start) / total) * 100}%` }}
            title={`${mark.text}: ${dateTime(mark.at, utc.value)}`}
          >
            <span class="hidden">{mark.text}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Lanes({ timeline }: { timeline: TimelineJson }) {
  const start = Date.parse(timeline.start);
  const end = Date.parse(timeline.end);
  const receivers = [...new Set(timeline.notifications.map((one) => one.receiver))];
  const process = timeline.events.filter((event) => event.event === "started" || event.event === "reloaded");
  return (
    <article class="panel" aria-label="Lanes" data-ticks={timeline.ticks.length} data-events={timeline.events.length}>
      <Lane title="Condition" stretches={runsOf(timeline.ticks, end)} start={start} end={end} />
      <Lane title="State" stretches={stretchesOf(timeline.events, start, end)} start={start} end={end} />
      {receivers.map((receiver) => (
        <Marks
          key={receiver}
          title={receiver}
          start={start}
          end={end}
          marks={timeline.notifications
            .filter((one) => one.receiver === receiver)
            .map((one) => ({ at: Date.parse(one.at), text: `${one.state}: ${one.outcome}` }))}
        />
      ))}
      <Marks
        title="Server"
        start={start}
        end={end}
        marks={process.map((event) => ({ at: Date.parse(event.at), text: event.event }))}
      />
      <div class="lane dim">
        <span />
        <div class="ends">
          <Time ms={start} /> <Time ms={end} />
        </div>
      </div>
    </article>
  );
}

function Events({ timeline }: { timeline: TimelineJson }) {
  const rows = [
    ...timeline.events.map((event) => ({ at: event.at, what: event.event as string, text: event.reason ?? "" })),
    ...timeline.notifications.map((one) => ({ at: one.at, what: one.state, text: `${one.receiver}: ${one.outcome}` })),
  ].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  if (rows.length === 0) return <p class="dim">Nothing happened to it in this time.</p>;
  return (
    <Table
      caption="What happened"
      rows={rows}
      keyOf={(row) => row.at + row.what + row.text}
      columns={[
        { name: "When", cell: (row) => <Time ms={Date.parse(row.at)} />, sort: (row) => Date.parse(row.at) },
        { name: "What", cell: (row) => <Badge health={kHealth[row.what] ?? "none"}>{row.what}</Badge> },
        { name: "", cell: (row) => row.text },
      ]}
    />
  );
}
