// Objectives by what is left of their budgets.

import { Filter, InsideLink, LabelList, Shown, Table } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import { Budget, factor, State } from "./parts";
import { burnOf, byBudget, type SloGroupJson, type SloJson } from "./types";

interface Row {
  slo: SloJson;
  group: SloGroupJson | undefined; // None before anything was counted.
}

function rowsOf(slos: SloJson[]): Row[] {
  return byBudget(slos).flatMap((slo): Row[] =>
    slo.groups.length === 0 ? [{ slo, group: undefined }] : slo.groups.map((group) => ({ slo, group })),
  );
}

export function SlosPage() {
  const loaded = useAnswer<{ slos: SloJson[] }>("api/tarsier/v1/slos");
  const search = place.value.search.get("search") ?? "";
  const service = place.value.search.get("service") ?? "";
  return (
    <>
      <h1>Objectives</h1>
      <div class="controls">
        <Filter value={search} label="Filter objectives" onInput={(text) => setParameters({ search: text })} />
        {service && (
          <button type="button" onClick={() => setParameters({ service: "" })}>
            Service {service} ✕
          </button>
        )}
        <InsideLink to="/slos/new">Try an objective before saving it</InsideLink>
      </div>
      <Shown of={loaded}>
        {({ slos }) => {
          if (slos.length === 0) return <First />;
          const words = search.toLowerCase().split(/\s+/);
          const shown = slos.filter(
            (slo) =>
              (service === "" || slo.service === service) &&
              words.every((word) => `${slo.id} ${slo.description} ${JSON.stringify(slo.labels)}`.toLowerCase().includes(word)),
          );
          const least = (row: Row) => row.group?.budgetRemaining ?? Infinity;
          const burn = (window: string) => ({
            name: `Burn ${window}`,
            number: true,
            cell: (row: Row) => factor(row.group && burnOf(row.group, window)),
            sort: (row: Row) => (row.group && burnOf(row.group, window)) ?? -1,
          });
          return (
            <Table
              caption="Objectives by remaining budget"
              rows={rowsOf(shown).sort((a, b) => least(a) - least(b))}
              keyOf={(row) => `${row.slo.id} ${JSON.stringify(row.group?.group)}`}
              columns={[
                {
                  name: "Objective",
                  cell: ({ slo, group }) => (
                    <>
                      <InsideLink to={`/slos/${encodeURIComponent(slo.id)}`}>{slo.id}</InsideLink>{" "}
                      {group && <LabelList labels={group.group} />}
                      {slo.lastError && <div class="box bad">{slo.lastError}</div>}
                    </>
                  ),
                  sort: (row) => row.slo.id,
                },
                {
                  name: "State",
                  cell: ({ slo, group }) => <State state={group?.state ?? (slo.ready ? "no_data" : "unknown")} />,
                  sort: (row) => row.group?.state ?? "",
                },
                { name: "Target", number: true, cell: ({ slo }) => `${slo.objective} % in ${slo.period}`, sort: ({ slo }) => slo.objective },
                { name: "Budget left", cell: ({ group }) => <Budget remaining={group?.budgetRemaining} />, sort: least },
                burn("1h"),
                burn("6h"),
                burn("3d"),
                { name: "Used up in", cell: ({ group }) => group?.timeToExhaustion ?? "–" },
                {
                  name: "Alerts",
                  cell: ({ slo }) => slo.alerts.map((alert) => (
                    <div key={alert.id}>
                      <InsideLink to={`/alerts/${alert.id}`}>
                        {alert.labels.severity ?? alert.labels.alertname} {alert.state}
                      </InsideLink>
                    </div>
                  )),
                },
              ]}
            />
          );
        }}
      </Shown>
    </>
  );
}

function First() {
  return (
    <div class="panel">
      <p>
        An objective says which share of events has to be good; Tarsier counts, says what is left, and pages when it is
        spent too fast. There is none yet. Name files of them in the configuration:
      </p>
      <pre>{`# prometheus.yml
slo_files: [slos/*.yml]

# slos/shop.yml
slos:
- name: availability
  service: shop
  objective: 99.9
  sli:
    errors: 'http_requests_total{job="shop",code=~"5.."}'
    total: 'http_requests_total{job="shop"}'`}</pre>
      <p>
        Files of Sloth, Pyrra and OpenSLO are taken as they are. What an objective would have done can be{" "}
        <InsideLink to="/slos/new">seen before it is saved</InsideLink>.
      </p>
    </div>
  );
}
