import { useState } from "preact/hooks";
import { ago, bytes, count, seconds } from "../format";
import { CopyButton, InsideLink, queryLink, Shown, Table } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";

interface Entry {
  name: string;
  value: number;
}

interface TsdbJson {
  headStats: { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number };
  seriesCountByMetricName: Entry[];
  labelValueCountByLabelName: Entry[];
  memoryInBytesByLabelName: Entry[];
  seriesCountByLabelValuePair: Entry[];
  growth?: { since: number; numSeries: number; seriesCreated: number; seriesCountByMetricName: Entry[] };
}

export function CardinalityPage() {
  const loaded = useAnswer<TsdbJson>("api/v1/status/tsdb", { limit: 50 });
  return (
    <>
      <h1>Cardinality</h1>
      <Shown of={loaded}>
        {(data, now) => (
          <>
            <div class="tiles">
              <Tile name="Active series" value={count(data.headStats.numSeries)} />
              <Tile name="Label pairs" value={count(data.headStats.numLabelPairs)} />
              <Tile name="Chunks" value={count(data.headStats.chunkCount)} />
              {data.growth && (
                <Tile
                  name={`Series created since ${ago(data.growth.since, now)}`}
                  value={count(data.growth.seriesCreated)}
                />
              )}
            </div>
            <Unused />
            <div class="columns">
              <Ranking title="Series by metric" rows={data.seriesCountByMetricName} query={byMetric} />
              {data.growth && (
                <Ranking title="Growth by metric" rows={data.growth.seriesCountByMetricName} query={byMetric} />
              )}
              <Ranking title="Series by label and value" rows={data.seriesCountByLabelValuePair} query={byPair} />
              <Ranking title="Values by label" rows={data.labelValueCountByLabelName} query={byLabel} />
              <Ranking title="Memory by label" rows={data.memoryInBytesByLabelName} value={bytes} />
            </div>
          </>
        )}
      </Shown>
    </>
  );
}

function byMetric(name: string): string {
  return `count({__name__=${JSON.stringify(name)}})`;
}

function byPair(pair: string): string {
  const at = pair.indexOf("=");
  return `topk(20, count by (__name__) ({${pair.slice(0, at)}=${JSON.stringify(pair.slice(at + 1))}}))`;
}

function byLabel(label: string): string {
  return `topk(20, count by (${label}) ({${label}!=""}))`;
}

interface SuggestionsJson {
  since: string;
  observedSeconds: number;
  complete: boolean;
  metrics: number;
  series: number;
  unusedMetrics: number;
  unusedSeries: number;
  truncated: boolean;
  unused: { name: string; series: number }[];
}

/// A relabel rule that drops metrics by their names.
export function dropRule(names: string[]): string {
  const kSpecial = /[.+*?^$()[\]{}|\\]/g;
  const regex = names.map((name) => name.replace(kSpecial, "\\$&")).join("|");
  return `metric_relabel_configs:\n- source_labels: [__name__]\n  regex: '${regex.replace(/'/g, "''")}'\n  action: drop\n`;
}

/// What no query and no rule has read; all of it is chosen for dropping until the reader says otherwise.
function Unused() {
  const loaded = useAnswer<SuggestionsJson>("api/tarsier/v1/cardinality/suggestions", { limit: 100 });
  const [kept, setKept] = useState<ReadonlySet<string>>(new Set());
  return (
    <article class="panel" aria-label="Unused metrics">
      <h2>Unused metrics</h2>
      <Shown of={loaded}>
        {(data) => {
          const dropped = data.unused.filter((one) => !kept.has(one.name));
          const saved = dropped.reduce((sum, one) => sum + one.series, 0);
          const toggle = (name: string) => {
            const next = new Set(kept);
            if (!next.delete(name)) next.add(name);
            setKept(next);
          };
          return (
            <>
              <p>
                No query, rule or objective has read <b>{count(data.unusedMetrics)}</b> of {count(data.metrics)} metrics in
                the last {seconds(data.observedSeconds)}: {count(data.unusedSeries)} of {count(data.series)} series.
                {!data.complete && " More was asked than can be remembered: some of them may be used."}
              </p>
              {data.observedSeconds < 86400 && (
                <p class="dim">Judge after some days: dashboards that nobody opened since the start are not known yet.</p>
              )}
              {data.unused.length > 0 && (
                <details>
                  <summary>Which, and a rule that drops them</summary>
                  <Table
                    caption="Unused metrics"
                    rows={data.unused}
                    keyOf={(row) => row.name}
                    columns={[
                      {
                        name: "Drop",
                        cell: (row) => (
                          <input type="checkbox" aria-label={`Drop ${row.name}`} checked={!kept.has(row.name)} onChange={() => toggle(row.name)} />
                        ),
                      },
                      { name: "Metric", cell: (row) => <code>{row.name}</code>, sort: (row) => row.name },
                      { name: "Series", number: true, cell: (row) => count(row.series), sort: (row) => row.series },
                    ]}
                  />
                  {data.truncated && <p class="dim">The {data.unused.length} with most series of {data.unusedMetrics}.</p>}
                  <h3>To drop {dropped.length} metrics, {count(saved)} series: paste into the scrape configuration</h3>
                  <pre data-drop-rule tabIndex={0}>{dropRule(dropped.map((one) => one.name))}</pre>
                  <CopyButton text={dropRule(dropped.map((one) => one.name))} label="Copy the rule" />
                </details>
              )}
            </>
          );
        }}
      </Shown>
    </article>
  );
}

export function Tile({ name, value }: { name: string; value: string }) {
  return (
    <div class="tile">
      <div class="big">{value}</div>
      <div class="dim">{name}</div>
    </div>
  );
}

function Ranking({
  title,
  rows,
  query,
  value = count,
}: {
  title: string;
  rows: Entry[];
  query?: (name: string) => string;
  value?: (n: number) => string;
}) {
  const top = rows[0]?.value ?? 1;
  return (
    <article class="panel">
      <h2>{title}</h2>
      <Table
        caption={title}
        rows={rows}
        keyOf={(row) => row.name}
        columns={[
          {
            name: "Name",
            cell: (row) =>
              query ? (
                <InsideLink to="/query" search={queryLink(query(row.name), "table")}>
                  <code>{row.name}</code>
                </InsideLink>
              ) : (
                <code>{row.name}</code>
              ),
            sort: (row) => row.name,
          },
          { name: "Share", cell: (row) => <meter value={row.value} max={top} /> },
          { name: "Count", number: true, cell: (row) => value(row.value), sort: (row) => row.value },
        ]}
      />
    </article>
  );
}
