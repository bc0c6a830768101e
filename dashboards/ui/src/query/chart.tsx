// Lines over time, by uPlot. Dragging asks for the window that was drawn around.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count as countText, dateTime } from "../format";
import { theme, utc } from "../state";
import { colorsOf } from "./colors";
import { type Grid, stacked, summaryOf } from "./result";

const kHeight = 340;

/// A trace that stood for a value: an exemplar.
export interface Dot {
  time: number; // Seconds.
  value: number;
  trace: string;
  text: string;
}

/// What is drawn besides the series.
export interface Extras {
  levels?: { value: number; text: string }[]; // Horizontal lines, as thresholds.
  moments?: { time: number; text: string }[]; // Vertical ones, as changes of state.
  dots?: Dot[];
  onDot?: (dot: Dot) => void;
  height?: number;
  hint?: string; // What dragging does here.
}

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

const kNoExtras: Extras = {};

export function Chart({
  grid,
  isStacked,
  fromZero,
  onSelect,
  extras = kNoExtras,
}: {
  grid: Grid;
  isStacked: boolean;
  fromZero: boolean;
  onSelect: (startSeconds: number, endSeconds: number) => void;
  extras?: Extras;
}) {
  const height = extras.height ?? kHeight;
  const shownExtras = useRef(extras);
  shownExtras.current = extras;
  const extrasKey = JSON.stringify([extras.levels, extras.moments, extras.dots]);
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
        height,
        tzDate: (s) => (utc.value ? uPlot.tzDate(new Date(s * 1000), "Etc/UTC") : new Date(s * 1000)),
        legend: { show: false },
        focus: { alpha: 1 },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
        scales: {
          x: { time: true },
          y: { range: (_, min, max) => rangeOf(...widened(min, max, shownExtras.current), fromZero || isStacked) },
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
          draw: [
            (u) => drawLonePoints(u, drawn, colors),
            (u) => drawExtras(u, shownExtras.current, { text: style("--text"), bad: style("--bad"), page: style("--panel") }),
          ],
        },
      },
      [grid.times, ...drawn] as uPlot.AlignedData,
      element,
    );
    const watch = new ResizeObserver(() => {
      plot.setSize({ width: Math.max(200, element.clientWidth), height });
    });
    watch.observe(element);
    const onClick = (event: MouseEvent) => {
      const dot = dotAt(plot, shownExtras.current.dots ?? [], event.offsetX, event.offsetY);
      if (dot) shownExtras.current.onDot?.(dot);
    };
    plot.over.addEventListener("click", onClick);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [grid, isStacked, fromZero, dark, utc.value, hidden, height, extrasKey]);

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
          <span class="dim">{extras.hint ?? "Point at the graph for values; drag for a closer look."}</span>
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

/// Thresholds stay in view.
function widened(min: number | null, max: number | null, extras: Extras): [number | null, number | null] {
  const values = [
    ...(extras.levels ?? []).map((level) => level.value),
    ...(extras.dots ?? []).map((dot) => dot.value),
    ...[min, max].filter((v) => v !== null),
  ];
  return values.length === 0 ? [min, max] : [Math.min(...values), Math.max(...values)];
}

function dotAt(u: uPlot, dots: Dot[], x: number, y: number): Dot | undefined {
  const kNear = 9;
  return dots.find(
    (dot) => Math.abs(u.valToPos(dot.time, "x") - x) <= kNear && Math.abs(u.valToPos(dot.value, "y") - y) <= kNear,
  );
}

function drawExtras(u: uPlot, extras: Extras, colors: { text: string; bad: string; page: string }): void {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.strokeStyle = ctx.fillStyle = colors.bad;
  for (const level of extras.levels ?? []) {
    const y = u.valToPos(level.value, "y", true);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.fillText(level.text, left + 6 * devicePixelRatio, Math.max(y - 4 * devicePixelRatio, top + 12 * devicePixelRatio));
  }
  ctx.strokeStyle = ctx.fillStyle = colors.text;
  (extras.moments ?? []).forEach((moment, i) => {
    const x = u.valToPos(moment.time, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    // Towards the middle, where there is room.
    const isLate = x > left + width / 2;
    ctx.textAlign = isLate ? "right" : "left";
    ctx.fillText(moment.text, x + (isLate ? -4 : 4) * devicePixelRatio, top + (14 + (i % 4) * 14) * devicePixelRatio);
  });
  ctx.setLineDash([]);
  ctx.strokeStyle = colors.page;
  ctx.fillStyle = colors.text;
  const size = 5 * devicePixelRatio;
  for (const dot of extras.dots ?? []) {
    const x = u.valToPos(dot.time, "x", true);
    const y = u.valToPos(dot.value, "y", true);
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
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
