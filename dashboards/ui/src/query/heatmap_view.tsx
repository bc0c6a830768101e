// A heatmap of buckets over time. Dragging zooms; a click asks for the traces of a cell.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count as countText, dateTime, seconds } from "../format";
import { theme, utc } from "../state";
import { cellAt, heatmapOf, placeOf } from "./heatmap";
import type { Series } from "./result";

const kHeight = 340;
const kLeft = 64;
const kBottom = 34;
const kTop = 6;

export interface Picked {
  start: number; // Seconds, as the end.
  end: number;
  low: number;
  high: number;
}

export function HeatmapView({
  series,
  window,
  onSelect,
  onPick,
}: {
  series: Series[];
  window: { start: number; end: number; step: number };
  onSelect: (startSeconds: number, endSeconds: number) => void;
  onPick: (cell: Picked) => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const map = useMemo(() => heatmapOf(series), [series]);
  const [width, setWidth] = useState(800);
  const [hover, setHover] = useState("");
  const from = useRef<number | undefined>(undefined);
  const [marked, setMarked] = useState<[number, number] | undefined>();
  const { start, end, step } = window;
  const total = end - start + step;
  const inner = width - kLeft;
  const high = kHeight - kBottom - kTop;
  const timeAt = (x: number) => start - step / 2 + ((x - kLeft) / inner) * total;

  useEffect(() => {
    const element = canvas.current?.parentElement;
    if (!element) return;
    const watch = new ResizeObserver(() => setWidth(Math.max(240, element.clientWidth)));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!canvas.current || !context) return;
    const scale = devicePixelRatio;
    canvas.current.width = width * scale;
    canvas.current.height = kHeight * scale;
    context.scale(scale, scale);
    context.clearRect(0, 0, width, kHeight);
    const style = getComputedStyle(document.documentElement);
    const accent = style.getPropertyValue("--accent");
    context.fillStyle = accent;
    for (const cell of map.cells) {
      const x = Math.round(kLeft + ((cell.time - start) / total) * inner);
      const right = Math.round(kLeft + ((cell.time - start + step) / total) * inner);
      const bottom = kTop + high * (1 - placeOf(cell.low, map));
      const top = kTop + high * (1 - placeOf(cell.high, map));
      // By logarithm too: a few slow ones are what one looks for.
      context.globalAlpha = 0.12 + (0.88 * Math.log1p(cell.count)) / Math.log1p(map.most);
      context.fillRect(x, top, Math.max(1, right - x), Math.max(1, bottom - top));
    }
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue("--dim");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    let last = Infinity;
    for (const value of [...new Set(map.cells.map((cell) => cell.high))].sort((a, b) => a - b)) {
      const y = kTop + high * (1 - placeOf(value, map));
      if (last - y < 18) continue;
      last = y;
      context.fillText(countText(value), kLeft - 8, Math.max(y + 4, 10));
    }
    context.textAlign = "center";
    const labels = Math.max(2, Math.floor(inner / 120));
    for (let i = 0; i <= labels; ++i) {
      const t = start + ((end - start) * i) / labels;
      const x = Math.min(width - 30, kLeft + ((t - start + step / 2) / total) * inner);
      context.fillText(dateTime(t * 1000, utc.value).slice(11, (end - start) / labels < 120 ? 19 : 16), x, kHeight - 14);
    }
    if (marked) {
      context.globalAlpha = 0.25;
      context.fillStyle = style.getPropertyValue("--text");
      context.fillRect(Math.min(...marked), kTop, Math.abs(marked[1] - marked[0]), high);
    }
  }, [map, width, marked, theme.value, utc.value, start, end, step]);

  const cellOf = (event: PointerEvent) =>
    cellAt(map, start + Math.round((timeAt(event.offsetX) - start) / step) * step, step, 1 - (event.offsetY - kTop) / high);
  return (
    <div class="chart" data-state="ready" data-kind="heatmap" data-cells={map.cells.length} data-x-min={start} data-x-max={end}>
      <canvas
        ref={canvas}
        class="heatmap"
        style={{ width: `${width}px`, height: `${kHeight}px` }}
        role="img"
        aria-label={`Heatmap of ${map.cells.length} cells, values from ${map.low * 2} to ${map.high}, at most ${map.most} in one`}
        onPointerDown={(e) => {
          from.current = e.offsetX;
          e.currentTarget.setPointerCapture(e.pointerId);
        }}
        onPointerMove={(e) => {
          if (from.current !== undefined) setMarked([from.current, e.offsetX]);
          const cell = cellOf(e);
          setHover(
            cell
              ? `${dateTime(cell.time * 1000, utc.value)}: ${Number(cell.count.toPrecision(4))} between ${cell.low} and ${cell.high}`
              : "",
          );
        }}
        onPointerUp={(e) => {
          const begun = from.current;
          from.current = undefined;
          setMarked(undefined);
          if (begun !== undefined && Math.abs(e.offsetX - begun) > 4) {
            const times = [timeAt(begun), timeAt(e.offsetX)].sort((a, b) => a - b);
            onSelect(times[0] ?? start, times[1] ?? end);
            return;
          }
          const cell = cellOf(e);
          if (cell) onPick({ start: cell.time - step, end: cell.time + step, low: cell.low, high: cell.high });
        }}
      />
      <div class="hover" aria-hidden="true">
        {hover || <span class="dim">Darker has more. Drag for a closer look; click a cell for the kept traces of {seconds(step * 2)} around it.</span>}
      </div>
    </div>
  );
}
