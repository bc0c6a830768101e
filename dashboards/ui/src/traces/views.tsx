// A trace other than as a waterfall: as a flame, as statistics, against another one.

import { useEffect, useMemo, useState } from "preact/hooks";
import { ApiError } from "../api";
import { count, seconds } from "../format";
import { ErrorBox, Table } from "../parts/parts";
import { place, setParameters } from "../router";
import { fetchTrace } from "./fetch";
import { type By, differencesOf, framesOf, type Operation, operationsOf } from "./statistics";
import type { Shape } from "./tree";

const kFrameHeight = 24;

export function Flame({ tree, colorOf }: { tree: Shape; colorOf: Map<string, string> }) {
  const frames = useMemo(() => framesOf(tree), [tree]);
  const depth = frames.reduce((m, frame) => Math.max(m, frame.depth), 0);
  return (
    <>
      <p class="dim">Spans that came the same way are one frame, as wide as their time together.</p>
      <div class="scroll">
        <ul class="flame" aria-label="Flame" style={{ height: `${(depth + 1) * kFrameHeight}px` }}>
          {frames.map((frame) => (
            <li
              key={`${frame.depth} ${frame.from} ${frame.service} ${frame.name}`}
              title={`${frame.service} ${frame.name}: ${frame.count} spans, ${seconds(frame.total / 1e6)}`}
              style={{
                left: `${frame.from * 100}%`,
                width: `${frame.width * 100}%`,
                top: `${frame.depth * kFrameHeight}px`,
                borderLeftColor: colorOf.get(frame.service) ?? "",
              }}
            >
              {frame.service} {frame.name} · {seconds(frame.total / 1e6)}
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

export function Statistics({ tree }: { tree: Shape }) {
  const [by, setBy] = useState<By>("operation");
  const rows = useMemo(() => operationsOf(tree, by), [tree, by]);
  const time = (name: string, of: (row: Operation) => number) => ({
    name,
    number: true,
    cell: (row: Operation) => seconds(of(row) / 1e6),
    sort: of,
  });
  return (
    <>
      <label>
        By{" "}
        <select value={by} onChange={(e) => setBy(e.currentTarget.value as By)}>
          <option value="operation">operation</option>
          <option value="service">service</option>
        </select>
      </label>
      <Table
        caption="Statistics"
        rows={rows}
        keyOf={(row) => `${row.service} ${row.name}`}
        columns={[
          { name: "Service", cell: (row) => row.service, sort: (row) => row.service },
          { name: "Operation", cell: (row) => row.name, sort: (row) => row.name },
          { name: "Spans", number: true, cell: (row) => count(row.count), sort: (row) => row.count },
          { name: "Errors", number: true, cell: (row) => count(row.errors), sort: (row) => row.errors },
          time("Own time", (row) => row.own),
          time("Whole time", (row) => row.total),
          time("Average", (row) => row.total / row.count),
          time("Longest", (row) => row.longest),
        ]}
      />
    </>
  );
}

export function Compare({ tree }: { tree: Shape }) {
  const other = place.value.search.get("with") ?? "";
  const [text, setText] = useState(other);
  const [found, setFound] = useState<Shape | undefined>();
  const [error, setError] = useState<ApiError | undefined>();
  useEffect(() => {
    if (!other) return;
    let isGone = false;
    setFound(undefined);
    setError(undefined);
    fetchTrace(other).then(
      (trace) => {
        trace.close();
        if (!isGone) setFound(trace.shape);
      },
      (problem: unknown) => {
        if (!isGone) setError(problem instanceof ApiError ? problem : new ApiError("network", String(problem), 0));
      },
    );
    return () => {
      isGone = true;
    };
  }, [other]);
  const rows = useMemo(() => (found ? differencesOf(operationsOf(found), operationsOf(tree)) : []), [found, tree]);
  return (
    <>
      <form
        class="controls"
        onSubmit={(e) => {
          e.preventDefault();
          setParameters({ with: text.trim() }, false);
        }}
      >
        <label>
          With trace <input size={34} value={text} onInput={(e) => setText(e.currentTarget.value)} />
        </label>
        <button class="primary">Compare</button>
      </form>
      {error && <ErrorBox error={error} />}
      {found && (
        <>
          <p>
            This one took {seconds(tree.duration / 1e6)} in {tree.names.length} spans, the other{" "}
            {seconds(found.duration / 1e6)} in {found.names.length}.
          </p>
          <Table
            caption="Differences"
            rows={rows}
            keyOf={(row) => `${row.service} ${row.name}`}
            columns={[
              { name: "Service", cell: (row) => row.service, sort: (row) => row.service },
              { name: "Operation", cell: (row) => row.name, sort: (row) => row.name },
              { name: "Spans there", number: true, cell: (row) => row.before?.count ?? 0 },
              { name: "here", number: true, cell: (row) => row.after?.count ?? 0 },
              { name: "Own time there", number: true, cell: (row) => seconds((row.before?.own ?? 0) / 1e6) },
              { name: "here", number: true, cell: (row) => seconds((row.after?.own ?? 0) / 1e6) },
              { name: "Change", number: true, cell: (row) => `${row.change > 0 ? "+" : ""}${seconds(row.change / 1e6)}`, sort: (row) => row.change },
            ]}
          />
        </>
      )}
    </>
  );
}
