// Kept traces by service, operation, duration or TraceQL, with what was found at a glance.

import { useEffect, useState } from "preact/hooks";
import { count, parseDuration, printDuration, seconds } from "../format";
import { Badge, InsideLink, Shown, Table, Time } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import type { FacetEntry, FoundTrace, SearchJson } from "./types";

const kLimit = 100;

interface Wanted {
  service: string;
  name: string;
  minDuration: string;
  errors: boolean;
  q: string;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/// The fields as TraceQL; a query that was typed goes before them.
export function traceQuery(wanted: Wanted): string {
  if (wanted.q.trim()) return wanted.q;
  const parts = [];
  if (wanted.service) parts.push(`resource.service.name = ${quoted(wanted.service)}`);
  if (wanted.name) parts.push(`name = ${quoted(wanted.name)}`);
  if (wanted.minDuration) parts.push(`duration >= ${wanted.minDuration}`);
  if (wanted.errors) parts.push("status = error");
  return parts.length === 0 ? "{}" : `{ ${parts.join(" && ")} }`;
}

/// Jaeger's parameters have the same names where they mean the same.
function wantedOf(search: URLSearchParams): Wanted {
  const get = (...names: string[]) => names.map((name) => search.get(name)).find((value) => value) ?? "";
  return {
    service: get("service"),
    name: get("name", "operation") === "all" ? "" : get("name", "operation"),
    minDuration: get("minDuration"),
    errors: get("errors") === "1",
    q: get("q"),
  };
}

export function TracesPage() {
  const search = place.value.search;
  const wanted = wantedOf(search);
  const lookback = parseDuration(search.get("lookback") ?? "") ?? 3600_000;
  const fixedEnd = Number(search.get("end") ?? "") / 1000;
  // The window moves when somebody asks anew, not while looking at it.
  const [now, setNow] = useState(Date.now());
  const end = fixedEnd > 0 ? fixedEnd : now;
  const start = Number(search.get("start") ?? "") > 0 ? Number(search.get("start")) / 1000 : end - lookback;
  const query = traceQuery(wanted);
  const loaded = useAnswer<SearchJson>("api/tarsier/v1/traces/search", {
    q: query,
    start: (start / 1000).toFixed(3),
    end: (end / 1000).toFixed(3),
    limit: kLimit,
  });
  const ask = (changes: Record<string, string>) => {
    setNow(Date.now());
    setParameters(changes, false);
  };
  return (
    <>
      <h1>Traces</h1>
      <Form wanted={wanted} lookback={printDuration(lookback)} onAsk={ask} />
      <p class="dim">
        <code>{query}</code>
      </p>
      <Shown of={loaded}>{(data) => <Found data={data} onAsk={ask} />}</Shown>
    </>
  );
}

function Form({
  wanted,
  lookback,
  onAsk,
}: {
  wanted: Wanted;
  lookback: string;
  onAsk: (changes: Record<string, string>) => void;
}) {
  const [fields, setFields] = useState({ ...wanted, lookback });
  useEffect(() => setFields({ ...wanted, lookback }), [JSON.stringify(wanted), lookback]);
  const field = (name: "service" | "name" | "minDuration" | "lookback" | "q", label: string, size: number) => (
    <label>
      {label}{" "}
      <input
        id={name === "q" ? "search" : undefined}
        size={size}
        value={fields[name]}
        onInput={(e) => setFields({ ...fields, [name]: e.currentTarget.value })}
      />
    </label>
  );
  return (
    <form
      class="controls panel"
      onSubmit={(e) => {
        e.preventDefault();
        onAsk({ ...fields, errors: fields.errors ? "1" : "", operation: "" });
      }}
    >
      {field("service", "Service", 14)}
      {field("name", "Operation", 18)}
      {field("minDuration", "At least", 6)}
      {field("lookback", "Last", 6)}
      <label>
        <input
          type="checkbox"
          checked={fields.errors}
          onChange={(e) => setFields({ ...fields, errors: e.currentTarget.checked })}
        />{" "}
        Errors
      </label>
      {field("q", "or TraceQL", 40)}
      <button class="primary">Search</button>
    </form>
  );
}

function Found({ data, onAsk }: { data: SearchJson; onAsk: (changes: Record<string, string>) => void }) {
  if (data.traces.length === 0) {
    return (
      <p class="dim">
        No kept trace matches in that window. Spans come in by OTLP on ports 4317 and 4318; which traces stay is
        decided by <code>traces.sampling</code>.
      </p>
    );
  }
  return (
    <>
      <p class="dim">
        {data.traces.length}
        {data.traces.length === kLimit ? " newest" : ""} traces; looked at {count(data.costs.spans)} spans.
      </p>
      <div class="columns">
        <Facet title="Services" rows={data.facets.service} onPick={(value) => onAsk({ service: value, q: "" })} />
        <Facet title="Operations" rows={data.facets.rootName} onPick={(value) => onAsk({ name: value, q: "" })} />
        <Facet
          title="Durations"
          rows={data.facets.durationMs.map((row) => ({ value: `below ${seconds(row.below / 1000)}`, count: row.count }))}
        />
      </div>
      <Table
        caption="Traces found"
        rows={data.traces}
        keyOf={(trace) => trace.traceID}
        columns={[
          {
            name: "Trace",
            cell: (trace) => (
              <InsideLink to={`/trace/${trace.traceID}`}>
                {trace.rootServiceName ?? ""}: {trace.rootTraceName ?? trace.traceID}
              </InsideLink>
            ),
            sort: (trace) => `${trace.rootServiceName}${trace.rootTraceName}`,
          },
          { name: "State", cell: (trace) => <State trace={trace} /> },
          { name: "Spans", number: true, cell: spansOf, sort: spansOf },
          { name: "Start", cell: (trace) => <Time ms={startOf(trace)} />, sort: startOf },
          {
            name: "Duration",
            number: true,
            cell: (trace) => seconds((trace.durationMs ?? 0) / 1000),
            sort: (trace) => trace.durationMs ?? 0,
          },
        ]}
      />
    </>
  );
}

function startOf(trace: FoundTrace): number {
  return Number(trace.startTimeUnixNano) / 1e6;
}

function sum(trace: FoundTrace, of: "spanCount" | "errorCount"): number {
  return Object.values(trace.serviceStats ?? {}).reduce((n, one) => n + (one[of] ?? 0), 0);
}

function spansOf(trace: FoundTrace): number {
  return sum(trace, "spanCount");
}

function State({ trace }: { trace: FoundTrace }) {
  const errors = sum(trace, "errorCount");
  return (
    <>
      <Badge health={errors > 0 ? "bad" : "good"}>{errors > 0 ? `${errors} errors` : "ok"}</Badge>{" "}
      {trace.undecided && <Badge health="warn">undecided</Badge>}
    </>
  );
}

function Facet({
  title,
  rows,
  onPick,
}: {
  title: string;
  rows: FacetEntry[];
  onPick?: (value: string) => void;
}) {
  const top = rows.reduce((m, row) => Math.max(m, row.count), 1);
  return (
    <article class="panel">
      <h2>{title}</h2>
      <ul class="facet">
        {rows.slice(0, 8).map((row) => (
          <li key={row.value}>
            <meter value={row.count} max={top} /> {row.count}{" "}
            {onPick ? (
              <button type="button" class="plain" onClick={() => onPick(row.value)}>
                {row.value}
              </button>
            ) : (
              row.value
            )}
          </li>
        ))}
      </ul>
    </article>
  );
}
