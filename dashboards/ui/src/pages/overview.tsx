// What somebody who was just paged looks at first, and what a newcomer should do next.

import type { ComponentChildren } from "preact";
import { count, type Labels } from "../format";
import { Badge, InsideLink, LabelList, Shown } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import type { QueryData, Series } from "../query/result";
import { Tile } from "./cardinality";
import { Budget } from "../slo/parts";
import { byBudget, remainingOf, type SloJson } from "../slo/types";
import type { AlertJson } from "./rule_types";
import type { TargetsJson } from "./targets";

interface HeadJson {
  headStats: { numSeries: number };
}

const kSamplesPerSecond = "sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))";

function numberOf(data: QueryData | undefined): number | undefined {
  const first = (data?.result as Series[] | undefined)?.[0];
  return first?.value ? Number(first.value[1]) : undefined;
}

export function OverviewPage() {
  const alerts = useAnswer<{ alerts: AlertJson[] }>("api/v1/alerts");
  const targets = useAnswer<TargetsJson>("api/v1/targets", { state: "active" });
  const head = useAnswer<HeadJson>("api/v1/status/tsdb", { limit: 1 });
  const rate = useAnswer<QueryData>("api/v1/query", { query: kSamplesPerSecond });
  const rules = useAnswer<{ groups: unknown[] }>("api/v1/rules");

  const slos = useAnswer<{ slos: SloJson[] }>("api/tarsier/v1/slos");
  const spans = useAnswer<{ spans: { received: number } }>("api/tarsier/v1/sampling/stats");
  const objectives = byBudget(slos.answer?.data.slos ?? []);

  const active = targets.answer?.data.activeTargets ?? [];
  const down = active.filter((t) => t.health === "down");
  const perSecond = numberOf(rate.answer?.data);
  const steps: [boolean, string, ComponentChildren][] = [
    [active.length > 0, "Targets are scraped", <InsideLink to="/targets">targets</InsideLink>],
    [(head.answer?.data.headStats.numSeries ?? 0) > 0, "Samples arrive", <InsideLink to="/query">query them</InsideLink>],
    [(spans.answer?.data.spans.received ?? 0) > 0, "Spans arrive", <InsideLink to="/services">services</InsideLink>],
    [objectives.length > 0, "Objectives say what is good enough", <InsideLink to="/slos">SLOs</InsideLink>],
    [(rules.answer?.data.groups.length ?? 0) > 0, "Rules watch over them", <InsideLink to="/rules">rules</InsideLink>],
  ];
  return (
    <>
      <h1>Overview</h1>
      <div class="tiles">
        <Tile name="Active series" value={count(head.answer?.data.headStats.numSeries ?? NaN)} />
        <Tile name="Samples per second" value={perSecond === undefined ? "–" : count(perSecond)} />
        <Tile name="Targets up" value={`${active.filter((t) => t.health === "up").length} of ${active.length}`} />
        <Tile
          name="Alerts firing"
          value={
            alerts.answer
              ? String(alerts.answer.data.alerts.filter((a) => a.state === "firing").length)
              : "–"
          }
        />
        <Tile name="Spans received" value={spans.answer ? count(spans.answer.data.spans.received) : "–"} />
      </div>
      <article class="panel">
        <h2>Firing alerts</h2>
        <Shown of={alerts}>
          {(data) => {
            const firing = data.alerts.filter((alert) => alert.state === "firing");
            return firing.length === 0 ? (
              <p>
                <Badge health="good">Nothing fires.</Badge>
              </p>
            ) : (
              <ul>
                {firing.map((alert) => (
                  <li key={JSON.stringify(alert.labels)}>
                    <FiringAlert id={alert.fingerprint} labels={alert.labels} summary={alert.annotations.summary ?? alert.annotations.cause ?? ""} />
                  </li>
                ))}
              </ul>
            );
          }}
        </Shown>
      </article>
      {down.length > 0 && (
        <article class="panel">
          <h2>Targets down</h2>
          <ul>
            {down.slice(0, 20).map((target) => (
              <li key={target.scrapeUrl}>
                <Badge health="bad">{target.scrapeUrl}</Badge> {target.lastError}
              </li>
            ))}
          </ul>
          <InsideLink to="/targets" search={new URLSearchParams({ health: "down" })}>
            All {down.length}
          </InsideLink>
        </article>
      )}
      {objectives.length > 0 && (
        <article class="panel">
          <h2>Objectives with the least budget</h2>
          <ul>
            {objectives.slice(0, 5).map((slo) => (
              <li key={slo.id}>
                <InsideLink to={`/slos/${encodeURIComponent(slo.id)}`}>{slo.id}</InsideLink>{" "}
                <Budget remaining={remainingOf(slo)} />
              </li>
            ))}
          </ul>
          <InsideLink to="/slos">All {objectives.length}</InsideLink>
        </article>
      )}
      <article class="panel">
        <h2>First steps</h2>
        <ul>
          {steps.map(([done, text, link]) => (
            <li key={text}>
              <Badge health={done ? "good" : "none"}>{text}</Badge> {link}
            </li>
          ))}
        </ul>
      </article>
    </>
  );
}

function FiringAlert({ id, labels, summary }: { id: string; labels: Labels; summary: string }) {
  return (
    <>
      <InsideLink to={`/alerts/${id}`}>
        <b>{labels.alertname}</b>
      </InsideLink>{" "}
      <LabelList labels={labels} omit={["alertname"]} /> {summary}
    </>
  );
}
