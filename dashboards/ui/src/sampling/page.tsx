// Which traces stay, by what, and why one did not.

import { useEffect, useState } from "preact/hooks";
import { ApiError, urlOf } from "../api";
import { bytes, count, seconds } from "../format";
import { Badge, ErrorBox, Shown, Table } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import { share } from "../slo/parts";
import { Explained } from "./explained";

interface Stats {
  buffer: { undecided_traces: number; undecided_spans: number; memory_bytes: number; log_bytes: number; idle_wait_seconds: number };
  spans: Record<"received" | "duplicates" | "kept" | "dropped" | "late_kept" | "late_dropped" | "lost", number>;
  traces: { kept: number; dropped: number; pinned: number };
  refused_batches: number;
  kept_by_policy: Record<string, number>;
  decisions_by_reason: Record<string, number>;
  decisions_covered_seconds: number;
  recorded_traces: number;
}

interface Totals {
  traces: number;
  spans: number;
  bytes: number;
  error_traces: number;
}

interface Simulated {
  traces: number;
  seconds: number;
  all: Totals;
  kept_before: Totals;
  kept_now: Totals;
  unknown: Totals;
  unknown_share: number;
  by_policy: { policy: string; traces: number }[];
  unrecorded_conditions: string[];
}

export function SamplingPage() {
  const stats = useAnswer<Stats>("api/tarsier/v1/sampling/stats");
  return (
    <>
      <h1>Sampling</h1>
      <Lookup />
      <Shown of={stats}>{(data) => <Flow stats={data} />}</Shown>
      <Simulation />
    </>
  );
}

function Ranked({ title, unit, counts }: { title: string; unit: string; counts: Record<string, number> }) {
  const rows = Object.entries(counts)
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
  const total = rows.reduce((sum, [, n]) => sum + n, 0);
  return (
    <article class="panel">
      <h2>{title}</h2>
      {rows.length === 0 ? (
        <p class="dim">None yet.</p>
      ) : (
        <Table
          caption={title}
          rows={rows}
          keyOf={(row) => row[0]}
          columns={[
            { name: "Name", cell: (row) => <code>{row[0]}</code>, sort: (row) => row[0] },
            { name: "Share", cell: (row) => <><meter value={row[1]} max={total} aria-label={share(row[1] / total)} /> {share(row[1] / total)}</> },
            { name: unit, number: true, cell: (row) => count(row[1]), sort: (row) => row[1] },
          ]}
        />
      )}
    </article>
  );
}

function Step({ value, name, health }: { value: string; name: string; health?: "bad" | "warn" }) {
  return (
    <li class="tile">
      <div class="big">{health ? <Badge health={health}>{value}</Badge> : value}</div>
      <div class="dim">{name}</div>
    </li>
  );
}

function Flow({ stats }: { stats: Stats }) {
  const { buffer, spans, traces } = stats;
  const decided = traces.kept + traces.dropped;
  return (
    <>
      <ol class="tiles plainlist" aria-label="The way of spans">
        <Step value={count(spans.received)} name="spans received" />
        <Step value={`${count(buffer.undecided_traces)} traces`} name={`undecided: ${count(buffer.undecided_spans)} spans, ${bytes(buffer.memory_bytes)} in memory, ${bytes(buffer.log_bytes)} logged`} />
        <Step value={`${count(traces.kept)} of ${count(decided)}`} name={`traces kept: ${share(decided === 0 ? undefined : traces.kept / decided)}`} />
        <Step value={count(spans.kept)} name="spans stored" />
        <Step value={count(spans.late_kept + spans.late_dropped)} name="spans after their trace's decision" />
        <Step value={count(spans.lost)} name="spans lost" {...(spans.lost > 0 ? { health: "bad" as const } : {})} />
        <Step value={count(stats.refused_batches)} name="batches asked to come again" {...(stats.refused_batches > 0 ? { health: "warn" as const } : {})} />
      </ol>
      {spans.received === 0 && (
        <p class="dim">
          No span has come yet. Point an SDK or a collector at port 4317 (OTLP/gRPC) or 4318 (OTLP/HTTP). Without any
          configuration errors, slow traces, the first ones of each operation and 1 % of the rest are kept.
        </p>
      )}
      <div class="columns">
        <Ranked title="Kept by policy" unit="Traces" counts={stats.kept_by_policy} />
        <Ranked title="Decided because" unit="Traces" counts={stats.decisions_by_reason} />
      </div>
      <p class="dim">
        A trace is judged {seconds(buffer.idle_wait_seconds)} after its last span. Decisions are remembered for{" "}
        {seconds(stats.decisions_covered_seconds)}; {count(stats.recorded_traces)} traces are recorded for what-if.
      </p>
    </>
  );
}

function Lookup() {
  const id = place.value.search.get("trace") ?? "";
  const [text, setText] = useState(id);
  useEffect(() => setText(id), [id]);
  return (
    <article class="panel">
      <h2>What became of a trace</h2>
      <form
        class="controls"
        onSubmit={(e) => {
          e.preventDefault();
          setParameters({ trace: text.trim() }, false);
        }}
      >
        <input
          id="search"
          aria-label="Trace id"
          placeholder="trace id  ( / )"
          size={34}
          value={text}
          onInput={(e) => setText(e.currentTarget.value)}
        />
        <button class="primary">Explain</button>
      </form>
      {id && <Explained key={id} id={id} />}
    </article>
  );
}

const kCandidate = `{
  "policies": [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 500}},
    {"name": "rest", "type": "probabilistic", "probabilistic": {"sampling_percentage": 5}}
  ]
}`;

function Simulation() {
  const [text, setText] = useState(kCandidate);
  const [outcome, setOutcome] = useState<Simulated | undefined>();
  const [error, setError] = useState<ApiError | undefined>();
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const response = await fetch(urlOf("api/tarsier/v1/sampling/simulate"), { method: "POST", body: text });
      const body = (await response.json()) as { data?: Simulated; errorType?: string; error?: string };
      if (body.data) setOutcome(body.data);
      else setError(new ApiError(body.errorType ?? "http", body.error ?? response.statusText, response.status));
    } catch (problem) {
      setError(new ApiError("network", String(problem), 0));
    }
    setBusy(false);
  };
  return (
    <article class="panel" aria-label="What if">
      <h2>What if</h2>
      <p class="dim">
        Policies as in <code>traces.sampling</code>, in JSON, judged against the traces of the last hours. Nothing is changed.
      </p>
      <textarea aria-label="Policies" class="yaml" rows={10} spellcheck={false} value={text} onInput={(e) => setText(e.currentTarget.value)} />
      <div class="controls">
        <button type="button" class="primary" disabled={busy} onClick={() => void run()}>
          Simulate
        </button>
      </div>
      {error && <ErrorBox error={error} />}
      {outcome && (
        <div aria-live="polite">
          <p>
            {count(outcome.traces)} traces judged in {seconds(outcome.seconds)}.{" "}
            {outcome.unknown_share > 0 &&
              `${share(outcome.unknown_share)} of them cannot be judged: ${outcome.unrecorded_conditions.join(", ")} was not recorded.`}
          </p>
          <Table
            caption="Kept before and then"
            rows={[
              { name: "all", totals: outcome.all },
              { name: "kept before", totals: outcome.kept_before },
              { name: "kept then", totals: outcome.kept_now },
              { name: "unknown", totals: outcome.unknown },
            ]}
            keyOf={(row) => row.name}
            columns={[
              { name: "", cell: (row) => <b>{row.name}</b> },
              { name: "Traces", number: true, cell: (row) => count(row.totals.traces) },
              { name: "Spans", number: true, cell: (row) => count(row.totals.spans) },
              { name: "Bytes", number: true, cell: (row) => bytes(row.totals.bytes) },
              { name: "With errors", number: true, cell: (row) => count(row.totals.error_traces) },
            ]}
          />
          <Ranked title="Kept then, by policy" unit="Traces" counts={Object.fromEntries(outcome.by_policy.map((one) => [one.policy, one.traces]))} />
        </div>
      )}
    </article>
  );
}
