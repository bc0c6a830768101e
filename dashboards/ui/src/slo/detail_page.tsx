// One objective: what is left, how fast it goes, what it would have done.

import { useState } from "preact/hooks";
import { parseDuration, type Labels } from "../format";
import { Badge, InsideLink, LabelList, Shown, Table, Time } from "../parts/parts";
import { SeriesChart, spanBefore, windowSearch } from "../parts/series_chart";
import { useAnswer } from "../parts/use_answer";
import { go, place, setParameters } from "../router";
import { refreshes } from "../state";
import { Backtest, Forecast, WhatIf } from "./backtest";
import { Budget, factor, share, State } from "./parts";
import type { SloGroupJson, SloJson } from "./types";

const kTemplate = `slos:
- name: availability
  service: shop
  objective: 99.9
  sli:
    errors: 'http_requests_total{job="shop",code=~"5.."}'
    total: 'http_requests_total{job="shop"}'
`;

export function SloPage() {
  const id = decodeURIComponent(place.value.path.split("/")[2] ?? "");
  return id === "new" ? <NewSlo /> : <KnownSlo key={id} id={id} />;
}

function NewSlo() {
  const [text, setText] = useState(kTemplate);
  return (
    <>
      <h1>An objective before it is saved</h1>
      <WhatIf text={text} onText={setText} />
    </>
  );
}

function KnownSlo({ id }: { id: string }) {
  const loaded = useAnswer<SloJson>(`api/tarsier/v1/slos/${encodeURIComponent(id)}`);
  const file = useAnswer<{ yaml: string }>(`api/tarsier/v1/slos/${encodeURIComponent(id)}/file`);
  const [changed, setChanged] = useState<string | undefined>();
  return (
    <>
      <h1>{id}</h1>
      <Shown of={loaded}>
        {(slo) => (
          <>
            <Head slo={slo} />
            {slo.groups.length === 0 && (
              <p class="dim">
                Nothing was counted yet: {slo.ready ? "there are no samples of its indicator." : "its history is being read."}
              </p>
            )}
            {slo.groups.length > 0 && <Groups slo={slo} />}
            {slo.forecast && (
              <article class="panel">
                <h2>When it fires</h2>
                <Forecast forecast={slo.forecast} />
              </article>
            )}
            <Backtest id={id} />
            {file.answer?.data.yaml && (
              <details>
                <summary>Change it and see what that would have done</summary>
                <WhatIf text={changed ?? file.answer.data.yaml} onText={setChanged} />
              </details>
            )}
          </>
        )}
      </Shown>
    </>
  );
}

function Head({ slo }: { slo: SloJson }) {
  return (
    <>
      <p>
        <b>{slo.objective} %</b> of events are to be good in {slo.period}. {slo.description}{" "}
        <span class="dim">
          <span title={slo.file}>{slo.file.split("/").at(-1)}</span> · {slo.definition}
        </span>{" "}
        <LabelList labels={slo.labels} />
      </p>
      {slo.service && (
        <p>
          <InsideLink to={`/services/${encodeURIComponent(slo.service)}`}>Service {slo.service}</InsideLink> ·{" "}
          <InsideLink to="/traces" search={new URLSearchParams({ service: slo.service, errors: "1" })}>
            its traces with errors
          </InsideLink>
        </p>
      )}
      {slo.lastError && <div class="box bad">{slo.lastError}</div>}
      {slo.warnings.map((text) => (
        <div class="box warn" key={text}>
          ⚠ {text}
        </div>
      ))}
      {slo.alerts.map((alert) => (
        <div class="box bad" key={alert.id}>
          <Badge health={alert.state === "firing" ? "bad" : "warn"}>
            {alert.labels.alertname} {alert.state}
          </Badge>{" "}
          since <Time ms={Date.parse(alert.activeAt)} />: {alert.annotations.cause}{" "}
          <InsideLink to={`/alerts/${alert.id}`}>timeline</InsideLink>
        </div>
      ))}
    </>
  );
}

const kRanges = ["1h", "6h", "1d", "7d", "30d"];

function quotedLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${JSON.stringify(name)}=${JSON.stringify(value)}`)
    .join(",");
}

function Groups({ slo }: { slo: SloJson }) {
  const wanted = place.value.search.get("group") ?? "";
  const group = slo.groups.find((one) => JSON.stringify(one.group) === wanted) ?? slo.groups[0];
  const range = place.value.search.get("range") ?? "6h";
  if (!group) return null;
  // Asked anew when the reader refreshes; in between the picture holds still.
  const now = Math.floor(Date.now() / 15_000) * 15_000 + refreshes.value * 0;
  const span = spanBefore(now, (parseDuration(range) ?? 6 * 3600_000) / 1000);
  const selector = `{slo=${JSON.stringify(slo.id)}${Object.keys(group.group).length ? `,${quotedLabels(group.group)}` : ""}}`;
  const toTraces = (start: number, end: number) =>
    go("/traces", windowSearch(start, end, slo.service ? { service: slo.service } : {}));
  const hint = "Drag over a time to see the kept traces of it.";
  return (
    <>
      {slo.groups.length > 1 && (
        <label>
          Group{" "}
          <select
            value={JSON.stringify(group.group)}
            onChange={(e) => setParameters({ group: e.currentTarget.value }, false)}
          >
            {slo.groups.map((one) => (
              <option key={JSON.stringify(one.group)} value={JSON.stringify(one.group)}>
                {Object.entries(one.group).map(([name, value]) => `${name}=${value}`).join(" ")}
              </option>
            ))}
          </select>
        </label>
      )}
      <div class="tiles">
        <div class="tile">
          <div class="big">{share(group.budgetRemaining)}</div>
          <div class="dim">of the budget left</div>
          <Budget remaining={group.budgetRemaining} />
        </div>
        <Fact value={<State state={group.state} />} name="state" />
        <Fact value={(group.budgetRemaining ?? 1) <= 0 ? "used up" : (group.timeToExhaustion ?? "–")} name="until it is used up, at the rate of the last hour" />
        <Fact value={share(group.period.errorRatio)} name={`errors in ${slo.period}`} />
        {group.period.totalEvents !== undefined && (
          <Fact
            value={`${Math.round(group.period.badEvents ?? 0)} of ${Math.round(group.period.totalEvents)}`}
            name="bad events"
          />
        )}
      </div>
      <Causes group={group} />
      <div class="controls" role="group" aria-label="Range of the graphs">
        {kRanges.map((one) => (
          <button type="button" key={one} aria-pressed={one === range} onClick={() => setParameters({ range: one }, false)}>
            {one}
          </button>
        ))}
      </div>
      <div class="columns">
        <SeriesChart
          title="Budget left"
          query={`tarsier_slo_budget_remaining_ratio${selector} * 100`}
          span={span}
          name={() => "% of the budget left"}
          extras={{ levels: [{ value: 0, text: "used up" }], hint }}
          onSelect={toTraces}
          empty="It is written once a minute; there is none in this range yet."
        />
        <SeriesChart
          title="Burn rates"
          query={`tarsier_slo_burn_rate${selector}`}
          span={span}
          name={(labels) => labels.window ?? ""}
          extras={{
            levels: slo.forecast?.map((tier) => ({ value: tier.factor, text: `${tier.severity} ${tier.long}/${tier.short}` })) ?? [],
            hint,
          }}
          onSelect={toTraces}
          empty="It is written once a minute; there is none in this range yet."
        />
      </div>
      <BurnRates slo={slo} group={group} />
    </>
  );
}

function Fact({ value, name }: { value: preact.ComponentChildren; name: string }) {
  return (
    <div class="tile">
      <div class="big">{value}</div>
      <div class="dim">{name}</div>
    </div>
  );
}

function Causes({ group }: { group: SloGroupJson }) {
  return (
    <>
      {Object.entries(group.causes).map(([severity, text]) => (
        <p key={severity}>
          {text.startsWith(severity) ? text : `${severity}: ${text}`}
        </p>
      ))}
    </>
  );
}

const kTierStates: Record<string, "good" | "bad" | "warn" | "none"> = {
  clear: "good",
  burning: "bad",
  held_back: "warn",
  unknown: "none",
  no_events: "none",
};

function BurnRates({ slo, group }: { slo: SloJson; group: SloGroupJson }) {
  const budget = 1 - slo.objective / 100;
  return (
    <div class="columns">
      <article class="panel">
        <h2>Tiers against their thresholds</h2>
        <Table
          caption="Tiers"
          rows={group.tiers}
          keyOf={(tier) => tier.severity + tier.long + tier.short}
          columns={[
            { name: "Tier", cell: (tier) => tier.severity },
            { name: "State", cell: (tier) => <Badge health={kTierStates[tier.status] ?? "none"}>{tier.status.replace("_", " ")}</Badge> },
            { name: "Long", number: true, cell: (tier) => `${tier.long}: ${factor(tier.longRatio === null ? null : tier.longRatio / budget)}` },
            { name: "Short", number: true, cell: (tier) => `${tier.short}: ${factor(tier.shortRatio === null ? null : tier.shortRatio / budget)}` },
            { name: "Fires at", number: true, cell: (tier) => factor(tier.factor) },
          ]}
        />
      </article>
      <article class="panel">
        <h2>Windows</h2>
        <Table
          caption="Burn rates by window"
          rows={[...group.windows, group.period]}
          keyOf={(row) => row.window}
          columns={[
            { name: "Window", cell: (row) => row.window },
            { name: "Errors", number: true, cell: (row) => share(row.errorRatio) },
            { name: "Burn rate", number: true, cell: (row) => factor(row.burnRate) },
            {
              name: "Bad of all",
              number: true,
              cell: (row) => (row.totalEvents === undefined ? "–" : `${Math.round(row.badEvents ?? 0)} of ${Math.round(row.totalEvents)}`),
            },
            { name: "Covered", number: true, cell: (row) => share(row.coverage) },
          ]}
        />
      </article>
    </div>
  );
}
