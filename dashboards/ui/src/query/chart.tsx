// Lines over time, by uPlot. Dragging asks for the window that was drawn around.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count as countText, dateTime } from "../format";
import { theme, utc } from "../state";
import { colorsOf } from "./colors";
import { type Grid, stacked, summaryOf } from "./result";

const kHeight = 340;

function isDark(): boolean {
  if (theme.value !== "auto") return theme.value === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function style(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

interface Hover {
  time: number;
  rows: { name: string; value: number; color: string }[];
}

/// The values nearest to the pointer, greatest first.
function hoverOf(grid: Grid, colors: string[], index: number, hidden: Set<string>): Hover {
  const rows = grid.columns.flatMap((column, s) => {
    const value = column[index];
    const name = grid.names[s] ?? "";
    return value === null || value === undefined || hidden.has(name)
      ? []
      : [{ name, value, color: colors[s] ?? "" }];
  });
  rows.sort((a, b) => b.value - a.value);
  return { time: grid.times[index] ?? 0, rows: rows.slice(0, 12) };
}

export function Chart({
  grid,
  isStacked,
  fromZero,
  onSelect,
}: {
  grid: Grid;
  isStacked: boolean;
  fromZero: boolean;
  onSelect: (startSeconds: number, endSeconds: number) => void;
}) {
  const holder = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<Hover | undefined>();
  const [hidden, setHidden] = useState<Set<string>>(new Set());
  const dark = isDark();
  const colors = colorsOf(grid.names, dark);
  const select = useRef(onSelect);
  select.current = onSelect;

  useEffect(() => {
    const element = holder.current;
    if (!element) return;
    const visible = grid.columns.map((column, s) =>
      hidden.has(grid.names[s] ?? "") ? column.map(() => null) : column,
    );
    const drawn = isStacked ? stacked(visible) : visible;
    const text = style("--dim");
    const line = style("--line");
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const plot = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: kHeight,
        tzDate: (s) => (utc.value ? uPlot.tzDate(new Date(s * 1000), "Etc/UTC") : new Date(s * 1000)),
        legend: { show: false },
        focus: { alpha: 1 },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
        scales: {
          x: { time: true },
          y: { range: (_, min, max) => rangeOf(min, max, fromZero || isStacked) },
        },
        axes: [
          { ...axis, space: 90, values: timeTexts },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((v) => countText(v)) },
        ],
        series: [
          {},
          ...drawn.map((_, s) => ({
            stroke: colors[s] ?? "",
            width: 1.25,
            fill: isStacked ? (colors[s] ?? "").replace(")", " / 0.25)") : "",
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: {
          setCursor: [
            (u) => {
              const index = u.cursor.idx;
              setHover(
                index === null || index === undefined
                  ? undefined
                  : hoverOf(grid, colors, index, hidden),
              );
            },
          ],
          setSelect: [
            (u) => {
              if (u.select.width < 4) return;
              const from = u.posToVal(u.select.left, "x");
              const to = u.posToVal(u.select.left + u.select.width, "x");
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              select.current(from, to);
            },
          ],
          draw: [(u) => drawLonePoints(u, drawn, colors)],
        },
      },
      [grid.times, ...drawn] as uPlot.AlignedData,
      element,
    );
    const watch = new ResizeObserver(() => {
      plot.setSize({ width: Math.max(200, element.clientWidth), height: kHeight });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [grid, isStacked, fromZero, dark, utc.value, hidden]);

  const toggle = (name: string, alone: boolean) => {
    setHidden((before) => {
      if (!alone) {
        const next = new Set(before);
        if (!next.delete(name)) next.add(name);
        return next;
      }
      const others = grid.names.filter((other) => other !== name);
      const isAlone = before.size === others.length && !before.has(name);
      return new Set(isAlone ? [] : others);
    });
  };

  return (
    <div
      class="chart"
      data-state="ready"
      data-series={grid.columns.length}
      data-points={grid.times.length}
      data-x-min={grid.times[0] ?? ""}
      data-x-max={grid.times.at(-1) ?? ""}
    >
      <div ref={holder} role="img" aria-label={summaryOf(grid)} />
      <div class="hover" aria-hidden="true">
        {hover && hover.rows.length > 0 ? (
          <>
            <b>{dateTime(hover.time * 1000, utc.value)}</b>
            {hover.rows.map((row) => (
              <div key={row.name}>
                <Swatch color={row.color} /> {row.value} <span class="dim">{row.name}</span>
              </div>
            ))}
          </>
        ) : (
          <span class="dim">Point at the graph for values; drag for a closer look.</span>
        )}
      </div>
      <Legend names={grid.names} colors={colors} hidden={hidden} onToggle={toggle} />
    </div>
  );
}

const kLegendRows = 200;

function Legend({
  names,
  colors,
  hidden,
  onToggle,
}: {
  names: string[];
  colors: string[];
  hidden: Set<string>;
  onToggle: (name: string, alone: boolean) => void;
}) {
  return (
    <ul class="legend" aria-label="Series">
      {names.slice(0, kLegendRows).map((name, s) => (
        <li key={name}>
          <button
            type="button"
            class={hidden.has(name) ? "plain off" : "plain"}
            aria-pressed={!hidden.has(name)}
            title="Click: this one alone. Ctrl-click: on or off."
            onClick={(e) => onToggle(name, !(e.ctrlKey || e.metaKey))}
          >
            <Swatch color={colors[s] ?? ""} /> <code>{name}</code>
          </button>
        </li>
      ))}
      {names.length > kLegendRows && <li class="dim">and {names.length - kLegendRows} more</li>}
    </ul>
  );
}

function Swatch({ color }: { color: string }) {
  return (
    <svg class="swatch" width="10" height="10" aria-hidden="true">
      <rect width="10" height="10" rx="2" fill={color} />
    </svg>
  );
}

function rangeOf(min: number | null, max: number | null, fromZero: boolean): [number, number] {
  if (min === null || max === null) return [0, 1];
  const low = fromZero ? Math.min(0, min) : min;
  const high = fromZero ? Math.max(0, max) : max;
  if (low === high) return [low - Math.max(Math.abs(low) * 0.1, 0.5), high + Math.max(Math.abs(high) * 0.1, 0.5)];
  const room = (high - low) * 0.05;
  return [fromZero && low === 0 ? 0 : low - room, high + room];
}

function timeTexts(_: uPlot, ticks: number[]): string[] {
  let day = "";
  const increment = (ticks[1] ?? 0) - (ticks[0] ?? 0);
  return ticks.map((t) => {
    const text = dateTime(t * 1000, utc.value);
    const date = text.slice(0, 10);
    const time = increment < 60 ? text.slice(11) : text.slice(11, 16);
    const shown = date === day ? time : `${time}\n${date}`;
    day = date;
    return shown;
  });
}

/// A value without neighbours has no line; it is drawn as a dot.
function drawLonePoints(u: uPlot, columns: (number | null)[][], colors: string[]): void {
  const { ctx } = u;
  ctx.save();
  columns.forEach((column, s) => {
    ctx.fillStyle = colors[s] ?? "";
    for (let i = 0; i < column.length; ++i) {
      const v = column[i];
      const isLone = v !== null && v !== undefined && (column[i - 1] ?? null) === null && (column[i + 1] ?? null) === null;
      if (!isLone) continue;
      ctx.beginPath();
      ctx.arc(u.valToPos(u.data[0][i] ?? 0, "x", true), u.valToPos(v, "y", true), 2.5, 0, 2 * Math.PI);
      ctx.fill();
    }
  });
  ctx.restore();
}
