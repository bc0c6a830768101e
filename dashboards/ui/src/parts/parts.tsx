// Small things that several pages are made of.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { ApiError } from "../api";
import { dateTime, type Labels, seriesText } from "../format";
import { hrefOf } from "../router";
import { utc } from "../state";
import type { Loaded } from "./use_answer";

export function ErrorBox({ error }: { error: ApiError }) {
  return (
    <div class="box bad" role="alert">
      <strong>{error.type === "network" ? "No connection" : `Error (${error.type})`}</strong>
      <pre>{error.message}</pre>
    </div>
  );
}

export function Notes({ warnings, infos }: { warnings: string[]; infos: string[] }) {
  return (
    <>
      {warnings.map((text) => (
        <div class="box warn" key={text}>
          ⚠ {text}
        </div>
      ))}
      {infos.map((text) => (
        <div class="box" key={text}>
          ℹ {text}
        </div>
      ))}
    </>
  );
}

/// The page's content once there is some, errors and waiting before.
export function Shown<T>({
  of,
  children,
}: {
  of: Loaded<T>;
  children: (data: T, at: number) => ComponentChildren;
}) {
  return (
    <div aria-busy={of.loading} class={of.loading && of.answer ? "stale" : ""}>
      {of.error && <ErrorBox error={of.error} />}
      {of.answer && <Notes warnings={of.answer.warnings} infos={of.answer.infos} />}
      {of.answer ? children(of.answer.data, of.at) : of.error ? null : <p class="dim">Loading …</p>}
    </div>
  );
}

export type Health = "good" | "warn" | "bad" | "none";
const kMarks: Record<Health, string> = { good: "✓", warn: "◐", bad: "✕", none: "○" };

/// State is told by word, mark and colour, never by colour alone.
export function Badge({ health, children }: { health: Health; children: ComponentChildren }) {
  return (
    <span class={`badge ${health}`}>
      <span aria-hidden="true">{kMarks[health]}</span> {children}
    </span>
  );
}

export function LabelList({ labels, omit = [] }: { labels: Labels; omit?: string[] }) {
  return (
    <span class="labels">
      {Object.keys(labels)
        .filter((name) => !omit.includes(name))
        .sort()
        .map((name) => (
          <span class="label" key={name}>
            {name}=<b>{JSON.stringify(labels[name])}</b>
          </span>
        ))}
    </span>
  );
}

export function SeriesName({ labels }: { labels: Labels }) {
  return <code class="series">{seriesText(labels)}</code>;
}

export function Time({ ms }: { ms: number }) {
  return (
    <time dateTime={Number.isFinite(ms) ? new Date(ms).toISOString() : ""}>
      {dateTime(ms, utc.value)}
    </time>
  );
}

export function InsideLink({
  to,
  search,
  class: className,
  children,
}: {
  to: string;
  search?: URLSearchParams;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <a href={hrefOf(to, search)} data-inside class={className ?? ""}>
      {children}
    </a>
  );
}

export function queryLink(expr: string, tab: "graph" | "table" = "graph"): URLSearchParams {
  return new URLSearchParams({ "g0.expr": expr, "g0.tab": tab });
}

export function Filter({
  value,
  onInput,
  label,
}: {
  value: string;
  onInput: (text: string) => void;
  label: string;
}) {
  return (
    <input
      type="search"
      class="filter"
      id="search"
      placeholder={`${label}  ( / )`}
      aria-label={label}
      value={value}
      onInput={(e) => onInput(e.currentTarget.value)}
    />
  );
}

export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="small" onClick={copy}>
      {done ? "Copied" : label}
    </button>
  );
}

export interface Column<Row> {
  name: string;
  cell: (row: Row) => ComponentChildren;
  sort?: (row: Row) => number | string;
  number?: boolean;
}

const kRowsShown = 1000;

/// A table that sorts by its headers; long ones begin short.
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
}: {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  keyOf: (row: Row) => string;
}) {
  const [order, setOrder] = useState<{ column: number; up: boolean } | undefined>();
  const [all, setAll] = useState(false);
  const sort = order && columns[order.column]?.sort;
  const sorted = sort
    ? [...rows].sort((a, b) => {
        const x = sort(a);
        const y = sort(b);
        return (x < y ? -1 : x > y ? 1 : 0) * (order.up ? 1 : -1);
      })
    : rows;
  const shown = all ? sorted : sorted.slice(0, kRowsShown);
  return (
    <div class="scroll">
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column, i) => (
              <th
                scope="col"
                key={column.name}
                class={column.number ? "number" : ""}
                aria-sort={order?.column === i ? (order.up ? "ascending" : "descending") : "none"}
              >
                {column.sort ? (
                  <button
                    type="button"
                    class="plain"
                    onClick={() =>
                      setOrder({ column: i, up: order?.column === i ? !order.up : true })
                    }
                  >
                    {column.name} {order?.column === i ? (order.up ? "▲" : "▼") : ""}
                  </button>
                ) : (
                  column.name
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.name} class={column.number ? "number" : ""}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < rows.length && (
        <p>
          {shown.length} of {rows.length} rows.{" "}
          <button type="button" class="small" onClick={() => setAll(true)}>
            Show all
          </button>
        </p>
      )}
    </div>
  );
}
