// The metrics there are: what they mean, which labels they have, and a selector to begin with.

import { useEffect, useMemo, useState } from "preact/hooks";
import { get } from "../api";
import { count, type Labels, seriesText } from "../format";
import { Badge, ErrorBox } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { fuzzyScore, type Meta, metaOf } from "./metric_search";

const kShown = 100;

export function Explorer({ onInsert, onClose }: { onInsert: (text: string) => void; onClose: () => void }) {
  const names = useAnswer<string[]>("api/v1/label/__name__/values");
  const metadata = useAnswer<Record<string, Meta[]>>("api/v1/metadata");
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState("");
  const shown = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return (names.answer?.data ?? [])
      .map((name) => [fuzzyScore(name, wanted), name] as const)
      .filter(([score]) => score > 0)
      .sort((a, b) => b[0] - a[0] || (a[1] < b[1] ? -1 : 1))
      .map(([, name]) => name);
  }, [names.answer, search]);
  const known = metadata.answer?.data ?? {};
  return (
    <article class="panel explorer" aria-label="Metrics explorer">
      <div class="controls">
        <input
          type="search"
          class="filter"
          aria-label="Find a metric"
          placeholder="Find a metric"
          value={search}
          onInput={(e) => setSearch(e.currentTarget.value)}
        />
        <span class="dim" aria-live="polite">
          {names.answer ? `${count(shown.length)} of ${count(names.answer.data.length)} metrics` : "loading …"}
        </span>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      {names.error && <ErrorBox error={names.error} />}
      <div class="columns">
        <ul class="plainlist metrics" aria-label="Metrics">
          {shown.slice(0, kShown).map((name) => {
            const meta = metaOf(known, name);
            return (
              <li key={name}>
                <button type="button" class="plain" aria-pressed={chosen === name} onClick={() => setChosen(name)}>
                  <code>{name}</code>
                </button>{" "}
                {meta && <Badge health="none">{meta.type}</Badge>} {meta?.unit && <span class="dim">{meta.unit}</span>}
                <div class="dim">{meta?.help}</div>
              </li>
            );
          })}
          {shown.length > kShown && <li class="dim">and {shown.length - kShown} more: type to narrow</li>}
        </ul>
        {chosen && <Metric key={chosen} name={chosen} onInsert={onInsert} />}
      </div>
    </article>
  );
}

/// A metric's labels; each chosen value narrows the others.
function Metric({ name, onInsert }: { name: string; onInsert: (text: string) => void }) {
  const [matchers, setMatchers] = useState<Labels>({});
  const [label, setLabel] = useState("");
  const [labels, setLabels] = useState<string[]>([]);
  const [values, setValues] = useState<string[]>([]);
  const selector = seriesText({ __name__: name, ...matchers });
  useEffect(() => {
    const abort = new AbortController();
    get<string[]>("api/v1/labels", { "match[]": selector }, abort.signal).then(
      (answer) => setLabels(answer.data.filter((one) => one !== "__name__")),
      () => undefined,
    );
    return () => abort.abort();
  }, [selector]);
  useEffect(() => {
    if (!label) return;
    const abort = new AbortController();
    const others = Object.fromEntries(Object.entries(matchers).filter(([other]) => other !== label));
    const match = seriesText({ __name__: name, ...others });
    get<string[]>(`api/v1/label/${encodeURIComponent(label)}/values`, { "match[]": match, limit: 1000 }, abort.signal).then(
      (answer) => setValues(answer.data),
      () => undefined,
    );
    return () => abort.abort();
  }, [label, selector]);
  const choose = (value: string) => {
    const next = { ...matchers };
    if (next[label] === value) delete next[label];
    else next[label] = value;
    setMatchers(next);
  };
  return (
    <div>
      <p>
        <code>{selector}</code>{" "}
        <button type="button" class="primary" onClick={() => onInsert(selector)}>
          Use it
        </button>{" "}
        {/_(total|count|sum|bucket)$/.test(name) && (
          <button type="button" onClick={() => onInsert(`rate(${selector}[5m])`)}>
            as a rate
          </button>
        )}
      </p>
      <div class="controls" role="group" aria-label="Labels">
        {labels.map((one) => (
          <button type="button" key={one} class="small" aria-pressed={one === label} onClick={() => setLabel(one)}>
            {one}
            {matchers[one] !== undefined ? " ✓" : ""}
          </button>
        ))}
      </div>
      {label && (
        <ul class="plainlist metrics" aria-label={`Values of ${label}`}>
          {values.map((value) => (
            <li key={value}>
              <button type="button" class="plain" aria-pressed={matchers[label] === value} onClick={() => choose(value)}>
                {matchers[label] === value ? "✓ " : ""}
                <code>{value === "" ? '""' : value}</code>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
