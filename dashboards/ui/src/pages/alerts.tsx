// Alerting rules by state; all labels visible without a click.

import { ago, type Labels, printDuration } from "../format";
import { Badge, Filter, type Health, InsideLink, LabelList, queryLink, Shown, Time } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import type { GroupJson, RuleJson } from "./rule_types";

const kHealth: Record<string, Health> = { firing: "bad", pending: "warn", inactive: "good", unknown: "none" };
const kOrder = ["firing", "pending", "unknown", "inactive"];

interface Entry {
  group: GroupJson;
  rule: RuleJson;
}

function matches(entry: Entry, search: string): boolean {
  const text = `${entry.rule.name} ${entry.group.name} ${entry.group.file} ${JSON.stringify(entry.rule.alerts ?? [])} ${JSON.stringify(entry.rule.labels)}`;
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.toLowerCase().includes(word));
}

export function AlertsPage() {
  const loaded = useAnswer<{ groups: GroupJson[] }>("api/v1/rules", { type: "alert" });
  const search = place.value.search.get("search") ?? "";
  const states = place.value.search.getAll("state");
  return (
    <>
      <h1>Alerts</h1>
      <Shown of={loaded}>
        {({ groups }, at) => {
          const entries = groups
            .flatMap((group) => group.rules.map((rule) => ({ group, rule })))
            .filter((entry) => matches(entry, search));
          const count = (state: string) => entries.filter((e) => (e.rule.state ?? "unknown") === state).length;
          const shown = entries
            .filter((e) => states.length === 0 || states.includes(e.rule.state ?? "unknown"))
            .sort((a, b) => kOrder.indexOf(a.rule.state ?? "unknown") - kOrder.indexOf(b.rule.state ?? "unknown"));
          return (
            <>
              <div class="controls">
                {kOrder.map((state) => (
                  <button
                    type="button"
                    key={state}
                    aria-pressed={states.includes(state)}
                    onClick={() => setParameters({ state: states.includes(state) ? "" : state })}
                  >
                    <Badge health={kHealth[state] ?? "none"}>
                      {state} {count(state)}
                    </Badge>
                  </button>
                ))}
                <Filter value={search} label="Filter alerts" onInput={(text) => setParameters({ search: text })} />
              </div>
              {groups.length === 0 && (
                <p class="dim">
                  There are no alerting rules yet. Name files of them in <code>rule_files</code>, check them with{" "}
                  <code>tarsier check rules</code>, and reload.
                </p>
              )}
              {shown.map(({ group, rule }) => (
                <AlertRule key={`${group.file}/${group.name}/${rule.name}/${rule.query}`} group={group} rule={rule} now={at} />
              ))}
            </>
          );
        }}
      </Shown>
    </>
  );
}

function AlertRule({ group, rule, now }: { group: GroupJson; rule: RuleJson; now: number }) {
  const alerts = rule.alerts ?? [];
  const state = rule.state ?? "unknown";
  return (
    <article class="panel">
      <h2>
        <Badge health={kHealth[state] ?? "none"}>{state}</Badge> {rule.name}{" "}
        <LabelList labels={rule.labels} />
      </h2>
      <div class="dim">
        {group.name} · {group.file}
        {rule.duration ? ` · for ${printDuration(rule.duration * 1000)}` : ""}
        {rule.keepFiringFor ? ` · keeps firing for ${printDuration(rule.keepFiringFor * 1000)}` : ""}
      </div>
      <InsideLink to="/query" search={queryLink(rule.query)}>
        <code>{rule.query}</code>
      </InsideLink>
      {rule.lastError && <div class="box bad">{rule.lastError}</div>}
      {alerts.length > 0 && (
        <div class="scroll">
          <table>
            <caption class="hidden">Alerts of {rule.name}</caption>
            <thead>
              <tr>
                <th scope="col">State</th>
                <th scope="col">Labels</th>
                <th scope="col">Since</th>
                <th scope="col" class="number">
                  Value
                </th>
              </tr>
            </thead>
            <tbody>
              {alerts.map((alert) => (
                <tr key={JSON.stringify(alert.labels)}>
                  <td>
                    <Badge health={kHealth[alert.state] ?? "none"}>{alert.state}</Badge>
                    <div>
                      <InsideLink to={`/alerts/${alert.fingerprint}`}>why</InsideLink>
                    </div>
                  </td>
                  <td>
                    <LabelList labels={alert.labels} omit={["alertname"]} />
                    <Annotations annotations={alert.annotations} />
                  </td>
                  <td>
                    <Time ms={Date.parse(alert.activeAt)} />
                    <div class="dim">{ago(Date.parse(alert.activeAt), now)}</div>
                  </td>
                  <td class="number">{Number(alert.value)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </article>
  );
}

/// Texts, and links where they are web addresses and nothing else.
function Annotations({ annotations }: { annotations: Labels }) {
  return (
    <div>
      {Object.entries(annotations).map(([name, text]) => (
        <div key={name}>
          <span class="dim">{name}:</span>{" "}
          {/^https?:\/\/\S+$/.test(text) ? (
            <a href={text} rel="noopener noreferrer">
              {text}
            </a>
          ) : (
            text
          )}
        </div>
      ))}
    </div>
  );
}
