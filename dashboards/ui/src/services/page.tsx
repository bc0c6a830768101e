// Services as their spans tell of them: rate, errors, durations, and who calls whom.

import { useMemo, useState } from "preact/hooks";
import { count, seconds } from "../format";
import { Badge, Filter, InsideLink, Shown, Table } from "../parts/parts";
import { SeriesChart, spanBefore, windowSearch } from "../parts/series_chart";
import { useAnswer } from "../parts/use_answer";
import type { QueryData, Series } from "../query/result";
import { go, hrefOf, place, setParameters } from "../router";
import { ObjectivesOf, share } from "../slo/parts";
import { type Edge, placesOf } from "./graph";

const kServed = 'span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"';
const kFailed = 'status_code="STATUS_CODE_ERROR"';

export function ServicesPage() {
  const name = decodeURIComponent(place.value.path.split("/")[2] ?? "");
  return name ? <Service key={name} name={name} /> : <Services />;
}

function valuesBy(data: QueryData | undefined, label: string): Map<string, number> {
  const series = (data?.result ?? []) as Series[];
  return new Map(series.map((one) => [one.metric[label] ?? "", Number(one.value?.[1])]));
}

interface Red {
  name: string;
  rate: number;
  errors: number; // Share.
  p95: number; // Seconds.
}

/// Rate, errors and 95th percentile of the last five minutes by a label.
function useRed(label: string, matchers: string) {
  const calls = useAnswer<QueryData>("api/v1/query", {
    query: `sum by (${label}) (rate(traces_spanmetrics_calls_total{${matchers}}[5m]))`,
  });
  const failed = useAnswer<QueryData>("api/v1/query", {
    query: `sum by (${label}) (rate(traces_spanmetrics_calls_total{${matchers},${kFailed}}[5m]))`,
  });
  const p95 = useAnswer<QueryData>("api/v1/query", {
    query: `histogram_quantile(0.95, sum by (${label}, le) (rate(traces_spanmetrics_latency_bucket{${matchers}}[5m])))`,
  });
  const rows = useMemo(() => {
    const errors = valuesBy(failed.answer?.data, label);
    const slow = valuesBy(p95.answer?.data, label);
    return [...valuesBy(calls.answer?.data, label)].map(([name, rate]): Red => ({
      name,
      rate,
      errors: rate > 0 ? (errors.get(name) ?? 0) / rate : 0,
      p95: slow.get(name) ?? NaN,
    }));
  }, [calls.answer, failed.answer, p95.answer]);
  return { loaded: calls, rows };
}

function RedTable({ caption, first, rows, link }: { caption: string; first: string; rows: Red[]; link: (name: string) => preact.ComponentChildren }) {
  return (
    <Table
      caption={caption}
      rows={[...rows].sort((a, b) => b.rate - a.rate)}
      keyOf={(row) => row.name}
      columns={[
        { name: first, cell: (row) => link(row.name), sort: (row) => row.name },
        { name: "Calls per second", number: true, cell: (row) => count(row.rate), sort: (row) => row.rate },
        {
          name: "Errors",
          number: true,
          cell: (row) => <Badge health={row.errors > 0.01 ? "bad" : row.errors > 0 ? "warn" : "good"}>{share(row.errors)}</Badge>,
          sort: (row) => row.errors,
        },
        { name: "95 % are faster than", number: true, cell: (row) => seconds(row.p95), sort: (row) => row.p95 },
      ]}
    />
  );
}

function Services() {
  const { loaded, rows } = useRed("service", kServed);
  const search = place.value.search.get("search") ?? "";
  const shown = rows.filter((row) => row.name.toLowerCase().includes(search.toLowerCase()));
  return (
    <>
      <h1>Services</h1>
      <div class="controls">
        <Filter value={search} label="Filter services" onInput={(text) => setParameters({ search: text })} />
      </div>
      <Shown of={loaded}>
        {() =>
          rows.length === 0 ? (
            <p class="dim">
              No spans in the last five minutes. Services appear when their spans come in by OTLP on ports 4317 and 4318;
              every one is counted, whatever sampling keeps.
            </p>
          ) : (
            <article class="panel">
              <RedTable
                caption="Services"
                first="Service"
                rows={shown}
                link={(name) => <InsideLink to={`/services/${encodeURIComponent(name)}`}>{name}</InsideLink>}
              />
            </article>
          )
        }
      </Shown>
      <Calls />
    </>
  );
}

function useEdges(): { edges: Edge[]; loading: boolean } {
  const by = "sum by (client, server, connection_type)";
  const all = useAnswer<QueryData>("api/v1/query", { query: `${by} (rate(traces_service_graph_request_total[5m]))` });
  const failed = useAnswer<QueryData>("api/v1/query", { query: `${by} (rate(traces_service_graph_request_failed_total[5m]))` });
  const edges = useMemo(() => {
    const key = (one: Series) => JSON.stringify([one.metric.client, one.metric.server, one.metric.connection_type]);
    const errors = new Map(((failed.answer?.data.result ?? []) as Series[]).map((one) => [key(one), Number(one.value?.[1])]));
    return ((all.answer?.data.result ?? []) as Series[]).map((one) => ({
      client: one.metric.client ?? "",
      server: one.metric.server ?? "",
      kind: one.metric.connection_type ?? "",
      rate: Number(one.value?.[1]),
      failed: errors.get(key(one)) ?? 0,
    }));
  }, [all.answer, failed.answer]);
  return { edges, loading: all.loading };
}

const kBox = { width: 150, height: 36, gapX: 90, gapY: 22 };
const kDrawnMax = 60;

function Calls() {
  const { edges } = useEdges();
  const [chosen, setChosen] = useState("");
  if (edges.length === 0) return null;
  const places = placesOf(edges);
  const isDrawn = places.length <= kDrawnMax;
  const at = new Map(places.map((one) => [one.name, { x: one.column * (kBox.width + kBox.gapX) + 4, y: one.row * (kBox.height + kBox.gapY) + 4 }]));
  const width = Math.max(...places.map((one) => (at.get(one.name)?.x ?? 0) + kBox.width)) + 4;
  const height = Math.max(...places.map((one) => (at.get(one.name)?.y ?? 0) + kBox.height)) + 4;
  return (
    <article class="panel">
      <h2>Who calls whom</h2>
      {isDrawn ? (
        <div class="scroll">
          <svg class="graph" width={width} height={height} role="group" aria-label={`${places.length} services, ${edges.length} kinds of calls; the table below has their numbers`}>
            {edges.map((edge) => {
              const from = at.get(edge.client);
              const to = at.get(edge.server);
              if (!from || !to) return null;
              const x1 = from.x + kBox.width;
              const y1 = from.y + kBox.height / 2;
              const y2 = to.y + kBox.height / 2;
              const isBad = edge.failed > 0;
              const isNear = chosen === edge.client || chosen === edge.server;
              return (
                <path
                  key={`${edge.client} ${edge.server} ${edge.kind}`}
                  class={`edge${isBad ? " bad" : ""}${chosen && !isNear ? " off" : ""}`}
                  d={`M${x1} ${y1} C${x1 + 40} ${y1} ${to.x - 40} ${y2} ${to.x} ${y2}`}
                  style={{ strokeWidth: `${1 + Math.min(4, Math.log10(1 + edge.rate))}px` }}
                >
                  <title>{`${edge.client} → ${edge.server}: ${count(edge.rate)} per second, ${count(edge.failed)} failed`}</title>
                </path>
              );
            })}
            {places.map(({ name }) => {
              const box = at.get(name) ?? { x: 0, y: 0 };
              return (
                <a key={name} href={hrefOf(`/services/${encodeURIComponent(name)}`)} data-inside onMouseEnter={() => setChosen(name)} onMouseLeave={() => setChosen("")}>
                  <rect x={box.x} y={box.y} width={kBox.width} height={kBox.height} rx="6" />
                  <text x={box.x + kBox.width / 2} y={box.y + kBox.height / 2 + 5} text-anchor="middle">
                    {name.length > 18 ? `${name.slice(0, 17)}…` : name}
                  </text>
                </a>
              );
            })}
          </svg>
        </div>
      ) : (
        <p class="dim">{places.length} services are too many for a picture.</p>
      )}
      <Table
        caption="Calls"
        rows={[...edges].sort((a, b) => b.rate - a.rate)}
        keyOf={(edge) => `${edge.client} ${edge.server} ${edge.kind}`}
        columns={[
          { name: "From", cell: (edge) => edge.client, sort: (edge) => edge.client },
          { name: "To", cell: (edge) => `${edge.server}${edge.kind ? ` (${edge.kind.replace("_", " ")})` : ""}`, sort: (edge) => edge.server },
          { name: "Per second", number: true, cell: (edge) => count(edge.rate), sort: (edge) => edge.rate },
          { name: "Failed", number: true, cell: (edge) => share(edge.rate > 0 ? edge.failed / edge.rate : 0), sort: (edge) => edge.failed },
        ]}
      />
    </article>
  );
}

const kRanges: Record<string, number> = { "1h": 3600, "6h": 21600, "1d": 86400 };

function Service({ name }: { name: string }) {
  const matchers = `service=${JSON.stringify(name)},${kServed}`;
  const { loaded, rows } = useRed("span_name", matchers);
  const range = place.value.search.get("range") ?? "1h";
  const span = spanBefore(Math.floor(Date.now() / 15_000) * 15_000, kRanges[range] ?? 3600);
  const toTraces = (start: number, end: number) => go("/traces", windowSearch(start, end, { service: name }));
  const extras = { hint: "Drag over a time to see the kept traces of it." };
  const empty = "No spans of it in this range.";
  return (
    <>
      <h1>{name}</h1>
      <p>
        <InsideLink to="/traces" search={new URLSearchParams({ service: name })}>
          Traces
        </InsideLink>{" "}
        ·{" "}
        <InsideLink to="/slos" search={new URLSearchParams({ service: name })}>
          Objectives
        </InsideLink>{" "}
        · <InsideLink to="/services">All services</InsideLink>
      </p>
      <ObjectivesOf service={name} />
      <div class="controls" role="group" aria-label="Range">
        {Object.keys(kRanges).map((one) => (
          <button type="button" key={one} aria-pressed={one === range} onClick={() => setParameters({ range: one }, false)}>
            {one}
          </button>
        ))}
      </div>
      <div class="columns">
        <SeriesChart title="Calls per second" span={span} extras={extras} onSelect={toTraces} empty={empty} query={`sum by (span_name) (rate(traces_spanmetrics_calls_total{${matchers}}[5m]))`} name={(labels) => labels.span_name ?? ""} />
        <SeriesChart title="Errors per second" span={span} extras={extras} onSelect={toTraces} empty="No errors in this range." query={`sum by (span_name) (rate(traces_spanmetrics_calls_total{${matchers},${kFailed}}[5m]))`} name={(labels) => labels.span_name ?? ""} />
        <SeriesChart title="95th percentile, seconds" span={span} extras={extras} onSelect={toTraces} empty={empty} query={`histogram_quantile(0.95, sum by (span_name, le) (rate(traces_spanmetrics_latency_bucket{${matchers}}[5m])))`} name={(labels) => labels.span_name ?? ""} />
      </div>
      <Shown of={loaded}>
        {() =>
          rows.length > 0 && (
            <article class="panel">
              <h2>Operations, last five minutes</h2>
              <RedTable
                caption="Operations"
                first="Operation"
                rows={rows}
                link={(operation) => (
                  <InsideLink to="/traces" search={new URLSearchParams({ service: name, name: operation })}>
                    {operation}
                  </InsideLink>
                )}
              />
            </article>
          )
        }
      </Shown>
    </>
  );
}
