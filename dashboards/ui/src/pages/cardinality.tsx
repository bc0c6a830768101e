import { bytes, count, ago } from "../format";
import { InsideLink, queryLink, Shown, Table } from "../parts/parts";
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
