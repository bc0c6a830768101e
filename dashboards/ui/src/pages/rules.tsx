import { ago, printDuration, seconds } from "../format";
import { Badge, Filter, InsideLink, LabelList, queryLink, Shown } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { place, setParameters } from "../router";
import type { GroupJson, RuleJson } from "./rule_types";

export function RulesPage() {
  const loaded = useAnswer<{ groups: GroupJson[] }>("api/v1/rules");
  const search = (place.value.search.get("search") ?? "").toLowerCase();
  const isShown = (group: GroupJson, rule: RuleJson) =>
    `${group.name} ${group.file} ${rule.name} ${rule.query}`.toLowerCase().includes(search);
  return (
    <>
      <h1>Rules</h1>
      <Filter value={search} label="Filter rules" onInput={(text) => setParameters({ search: text })} />
      <Shown of={loaded}>
        {({ groups }, now) => (
          <>
            {groups.length === 0 && (
              <p class="dim">
                No rules yet: name their files in <code>rule_files</code> of the configuration.
              </p>
            )}
            {groups.map((group) => {
              const rules = group.rules.filter((rule) => isShown(group, rule));
              return rules.length === 0 ? null : (
                <Group key={`${group.file};${group.name}`} group={group} rules={rules} now={now} />
              );
            })}
          </>
        )}
      </Shown>
    </>
  );
}

function Group({ group, rules, now }: { group: GroupJson; rules: RuleJson[]; now: number }) {
  const isSlow = group.evaluationTime > group.interval;
  return (
    <article class="panel">
      <h2>{group.name}</h2>
      <div class="dim">
        {group.file} · every {printDuration(group.interval * 1000)} · last run{" "}
        {ago(Date.parse(group.lastEvaluation), now)} · took {seconds(group.evaluationTime)}
        {isSlow && <Badge health="bad">longer than its interval</Badge>}
      </div>
      <div class="scroll">
        <table>
          <caption class="hidden">Rules of {group.name}</caption>
          <thead>
            <tr>
              <th scope="col">Health</th>
              <th scope="col">Rule</th>
              <th scope="col" class="number">
                Took
              </th>
            </tr>
          </thead>
          <tbody>
            {rules.map((rule, i) => (
              <tr key={i}>
                <td>
                  <Badge health={rule.health === "ok" ? "good" : rule.health === "err" ? "bad" : "none"}>
                    {rule.health}
                  </Badge>
                </td>
                <td>
                  <b>
                    {rule.type === "alerting" ? "alert" : "record"}: {rule.name}
                  </b>{" "}
                  <LabelList labels={rule.labels} />
                  <div>
                    <InsideLink to="/query" search={queryLink(rule.query)}>
                      <code>{rule.query}</code>
                    </InsideLink>
                  </div>
                  {rule.lastError && <div class="box bad">{rule.lastError}</div>}
                </td>
                <td class="number">{seconds(rule.evaluationTime)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </article>
  );
}
