// The kept traces of the window a graph shows, those that took longest first.

import { type Labels, seconds } from "../format";
import { Badge, InsideLink, Shown, Table, Time } from "../parts/parts";
import { windowSearch } from "../parts/series_chart";
import { useAnswer } from "../parts/use_answer";
import type { SearchJson } from "../traces/types";
import { meantBy, traceQueryOf } from "../traces/window";

const kShown = 10;

export function WindowTraces({
  expr,
  metrics,
  start,
  end,
}: {
  expr: string;
  metrics: Labels[];
  start: number; // Seconds, as the end.
  end: number;
}) {
  const q = traceQueryOf(meantBy(expr, metrics));
  const parameters = { q, start: start.toFixed(3), end: end.toFixed(3), limit: 200 };
  const loaded = useAnswer<SearchJson>("api/tarsier/v1/traces/search", parameters);
  return (
    <article class="panel" aria-label="Kept traces">
      <h2>Kept traces of this window</h2>
      <Shown of={loaded}>
        {(data) => {
          const errorsOf = (trace: SearchJson["traces"][number]) =>
            Object.values(trace.serviceStats ?? {}).reduce((n, one) => n + (one.errorCount ?? 0), 0);
          const rows = [...data.traces].sort((a, b) => (b.durationMs ?? 0) - (a.durationMs ?? 0));
          return (
            <>
              <p>
                <code>{q}</code>{" "}
                <InsideLink to="/traces" search={windowSearch(start, end, { q })}>
                  all {rows.length} with facets
                </InsideLink>
              </p>
              {rows.length === 0 ? (
                <p class="dim">No trace of this window was kept, or none came.</p>
              ) : (
                <Table
                  caption="Kept traces, slowest first"
                  rows={rows.slice(0, kShown)}
                  keyOf={(trace) => trace.traceID}
                  columns={[
                    {
                      name: "Trace",
                      cell: (trace) => (
                        <InsideLink to={`/trace/${trace.traceID}`}>
                          {trace.rootServiceName ?? ""}: {trace.rootTraceName ?? trace.traceID}
                        </InsideLink>
                      ),
                    },
                    {
                      name: "State",
                      cell: (trace) => (
                        <Badge health={errorsOf(trace) > 0 ? "bad" : "good"}>
                          {errorsOf(trace) > 0 ? `${errorsOf(trace)} errors` : "ok"}
                        </Badge>
                      ),
                    },
                    { name: "Start", cell: (trace) => <Time ms={Number(trace.startTimeUnixNano) / 1e6} /> },
                    { name: "Duration", number: true, cell: (trace) => seconds((trace.durationMs ?? 0) / 1000) },
                  ]}
                />
              )}
            </>
          );
        }}
      </Shown>
    </article>
  );
}
