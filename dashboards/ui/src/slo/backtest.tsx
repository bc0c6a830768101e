// What an objective would have done: of one that is configured, or of a text that is not saved yet.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, ApiError, get, isAbort, post } from "../api";
import { count, seconds } from "../format";
import { Badge, CopyButton, ErrorBox, LabelList, Notes, Table, Time } from "../parts/parts";
import { factor, share } from "./parts";
import type { BacktestJson, ForecastJson } from "./types";

interface Run {
  answer?: Answer<BacktestJson>;
  error?: ApiError;
  sinceMs?: number; // While it runs.
}

const kRanges: [string, number][] = [
  ["6h", 6 * 3600],
  ["1d", 86400],
  ["7d", 7 * 86400],
  ["30d", 30 * 86400],
];

/// Runs one question at a time; a new one ends the one before.
function useRun(): [Run, (ask: (signal: AbortSignal) => Promise<Answer<BacktestJson>>) => void, () => void] {
  const [run, setRun] = useState<Run>({});
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const begin = (ask: (signal: AbortSignal) => Promise<Answer<BacktestJson>>) => {
    abort.current?.abort();
    const own = new AbortController();
    abort.current = own;
    setRun({ sinceMs: Date.now() });
    ask(own.signal).then(
      (answer) => setRun({ answer }),
      (problem: unknown) => {
        if (isAbort(problem)) setRun((now) => (abort.current === own ? {} : now));
        else setRun({ error: problem instanceof ApiError ? problem : new ApiError("internal", String(problem), 0) });
      },
    );
  };
  return [run, begin, () => abort.current?.abort()];
}

/// How long a question has been under way; its end cannot be known beforehand.
function Waiting({ since, onStop }: { since: number; onStop: () => void }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return (
    <p role="status">
      <progress aria-label="Under way" /> evaluating history, {seconds(Math.round((now - since) / 1000))}{" "}
      <button type="button" class="small" onClick={onStop}>
        Stop
      </button>
    </p>
  );
}

function Ranges({ onPick, busy }: { onPick: (start: number, end: number) => void; busy: boolean }) {
  const [range, setRange] = useState("1d");
  return (
    <>
      <label>
        Over the last{" "}
        <select value={range} onChange={(e) => setRange(e.currentTarget.value)}>
          {kRanges.map(([name]) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>{" "}
      <button
        type="button"
        class="primary"
        disabled={busy}
        onClick={() => {
          const end = Math.floor(Date.now() / 1000);
          onPick(end - (kRanges.find(([name]) => name === range)?.[1] ?? 86400), end);
        }}
      >
        Backtest
      </button>
    </>
  );
}

/// Of an objective that is configured.
export function Backtest({ id }: { id: string }) {
  const [run, begin, stop] = useRun();
  return (
    <article class="panel" aria-label="Backtest">
      <h2>Backtest</h2>
      <div class="controls">
        <Ranges
          busy={run.sinceMs !== undefined}
          onPick={(start, end) =>
            begin((signal) => get(`api/tarsier/v1/slos/${encodeURIComponent(id)}/backtest`, { start, end }, signal))
          }
        />
      </div>
      <Outcome run={run} onStop={stop} />
    </article>
  );
}

/// Of a text, as a file would have it.
export function WhatIf({ text, onText }: { text: string; onText: (text: string) => void }) {
  const [run, begin, stop] = useRun();
  return (
    <article class="panel" aria-label="What if">
      <h2>What if</h2>
      <p class="dim">
        One objective as a file has it, in Tarsier's, Sloth's, Pyrra's or OpenSLO's form. Nothing is saved: when it does
        what you want, copy it into a file of <code>slo_files</code> and reload.
      </p>
      <textarea
        aria-label="Objective"
        class="yaml"
        rows={Math.min(30, Math.max(12, text.split("\n").length + 1))}
        spellcheck={false}
        value={text}
        onInput={(e) => onText(e.currentTarget.value)}
      />
      <div class="controls">
        <Ranges
          busy={run.sinceMs !== undefined}
          onPick={(start, end) => begin((signal) => post("api/tarsier/v1/backtest", { slo: text, start, end }, signal))}
        />
        <CopyButton text={text} label="Copy the objective" />
      </div>
      <Outcome run={run} onStop={stop} />
    </article>
  );
}

function Outcome({ run, onStop }: { run: Run; onStop: () => void }) {
  if (run.sinceMs !== undefined) return <Waiting since={run.sinceMs} onStop={onStop} />;
  if (run.error) return <ErrorBox error={run.error} />;
  if (!run.answer) return null;
  const { data } = run.answer;
  return (
    <div aria-live="polite">
      <Notes {...run.answer} />
      <Notes warnings={data.warnings} infos={[]} />
      <p>
        <b>
          {data.alerts.length === 0 ? "No alert would have fired" : `${data.alerts.length} alerts would have fired`}
        </b>{" "}
        between <Time ms={Date.parse(data.start)} /> and <Time ms={Date.parse(data.end)} />;{" "}
        {count(data.evaluations)} evaluations of {count(data.samplesRead)} samples.
      </p>
      {data.alerts.length > 0 && (
        <Table
          caption="Alerts that would have fired"
          rows={data.alerts}
          keyOf={(alert) => alert.firedAt + alert.severity + JSON.stringify(alert.labels)}
          columns={[
            {
              name: "Severity",
              cell: (alert) => (
                <>
                  <Badge health={alert.severity === "page" ? "bad" : "warn"}>{alert.severity || "alert"}</Badge>
                  {alert.inhibited && <div class="dim">its page fired as well</div>}
                </>
              ),
            },
            { name: "Fired", cell: (alert) => <Time ms={Date.parse(alert.firedAt)} />, sort: (alert) => alert.firedAt },
            { name: "Ended", cell: (alert) => (alert.endedAt ? <><Time ms={Date.parse(alert.endedAt)} /><div class="dim">{alert.reason}</div></> : "still firing") },
            { name: "Why", cell: (alert) => alert.cause },
            { name: "Budget spent by then", number: true, cell: (alert) => share(alert.budgetConsumed), sort: (alert) => alert.budgetConsumed },
          ]}
        />
      )}
      <Table
        caption="Budgets at the end"
        rows={data.budgets}
        keyOf={(budget) => JSON.stringify(budget.group)}
        columns={[
          { name: "Group", cell: (budget) => <LabelList labels={budget.group} /> },
          { name: "Bad events", number: true, cell: (budget) => count(budget.badEvents), sort: (budget) => budget.badEvents },
          { name: "Events", number: true, cell: (budget) => count(budget.totalEvents), sort: (budget) => budget.totalEvents },
          { name: "Budget spent", number: true, cell: (budget) => share(budget.consumed), sort: (budget) => budget.consumed ?? -1 },
          { name: "Covered by data", number: true, cell: (budget) => share(budget.coverage) },
        ]}
      />
      <Forecast forecast={data.forecast} />
    </div>
  );
}

/// When each tier would notice an outage of a given size.
export function Forecast({ forecast }: { forecast: ForecastJson[] }) {
  if (forecast.length === 0) return null;
  return (
    <Table
      caption="When tiers fire"
      rows={forecast}
      keyOf={(tier) => tier.severity + tier.long + tier.short}
      columns={[
        { name: "Tier", cell: (tier) => `${tier.severity} ${tier.long}/${tier.short}` },
        { name: "Burn rate", number: true, cell: (tier) => factor(tier.factor), sort: (tier) => tier.factor },
        { name: "Share of errors", number: true, cell: (tier) => share(tier.threshold), sort: (tier) => tier.threshold },
        { name: "Spends at most", number: true, cell: (tier) => share(tier.budgetShare), sort: (tier) => tier.budgetShare },
        {
          name: "Fires after",
          cell: (tier) =>
            tier.reachable
              ? tier.cases
                  .filter((one) => one.detectionSeconds !== null)
                  .map((one) => `${seconds(one.detectionSeconds ?? 0)} at ${share(one.errorRatio)} errors`)
                  .join(", ")
              : "never: more errors than events would be needed",
        },
      ]}
    />
  );
}
