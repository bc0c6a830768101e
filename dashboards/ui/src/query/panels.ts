// The panels of the query page, as the address tells them: gN.expr and so on, in Prometheus' old
// and new forms. Only the new one is written.

import { dateTime, parseDateTime, parseDuration, printDuration } from "../format";

export type Tab = "graph" | "table" | "explain";
export type Density = "low" | "medium" | "high";

export interface Panel {
  expr: string;
  tab: Tab;
  stacked: boolean;
  heatmap: boolean;
  exemplars: boolean;
  rangeMs: number;
  endMs: number | undefined; // Undefined: now.
  density: Density;
  stepSeconds: number | undefined; // Undefined: from the density.
  fromZero: boolean;
}

export const kHour = 3600_000;

export function emptyPanel(): Panel {
  return {
    expr: "",
    tab: "table",
    stacked: false,
    heatmap: false,
    exemplars: false,
    rangeMs: kHour,
    endMs: undefined,
    density: "medium",
    stepSeconds: undefined,
    fromZero: false,
  };
}

const kTabs: Record<string, Tab> = {
  "0": "graph",
  "1": "table",
  graph: "graph",
  table: "table",
  explain: "explain",
  tree: "explain",
};

function panelOf(get: (name: string) => string | null): Panel {
  const panel = emptyPanel();
  panel.expr = get("expr") ?? "";
  panel.tab = kTabs[get("tab") ?? ""] ?? (get("tab") === null ? "table" : "graph");
  panel.stacked = get("display_mode") === "stacked" || get("stacked") === "1";
  panel.heatmap = get("display_mode") === "heatmap";
  panel.exemplars = get("show_exemplars") === "1";
  panel.rangeMs = parseDuration(get("range_input") ?? "") ?? kHour;
  if (panel.rangeMs <= 0) panel.rangeMs = kHour;
  const time = panel.tab === "table" ? get("moment_input") : get("end_input");
  panel.endMs = parseDateTime(time ?? get("end_input") ?? get("moment_input") ?? "", true);
  const density = get("res_density");
  if (density === "low" || density === "medium" || density === "high") panel.density = density;
  const step = Number(get("res_step") ?? get("step_input") ?? "");
  if (step > 0 && get("res_type") !== "auto") panel.stepSeconds = step;
  panel.fromZero = get("y_axis_min") === "0";
  return panel;
}

export function readPanels(search: URLSearchParams): Panel[] {
  const panels: Panel[] = [];
  while (search.has(`g${panels.length}.expr`)) {
    const n = panels.length;
    panels.push(panelOf((name) => search.get(`g${n}.${name}`)));
  }
  return panels.length > 0 ? panels : [emptyPanel()];
}

export function writePanels(panels: Panel[]): URLSearchParams {
  const search = new URLSearchParams();
  panels.forEach((panel, n) => {
    const set = (name: string, value: string) => search.set(`g${n}.${name}`, value);
    set("expr", panel.expr);
    set("tab", panel.tab);
    if (panel.tab !== "table") {
      set("range_input", printDuration(panel.rangeMs));
      if (panel.heatmap) set("display_mode", "heatmap");
      else if (panel.stacked) set("display_mode", "stacked");
      if (panel.exemplars) set("show_exemplars", "1");
      if (panel.stepSeconds !== undefined) {
        set("res_type", "custom");
        set("res_step", String(panel.stepSeconds));
      } else {
        set("res_type", "auto");
        set("res_density", panel.density);
      }
      if (panel.fromZero) set("y_axis_min", "0");
    }
    if (panel.endMs !== undefined) {
      set("end_input", dateTime(panel.endMs, true));
      set("moment_input", dateTime(panel.endMs, true));
    }
  });
  return search;
}

const kPoints: Record<Density, number> = { low: 100, medium: 250, high: 750 };

/// Seconds between the points of a graph.
export function stepOf(panel: Panel): number {
  return (
    panel.stepSeconds ?? Math.max(1, Math.floor(panel.rangeMs / 1000 / kPoints[panel.density]))
  );
}

/// Start, end and step in seconds. A graph that ends now is on multiples of the step: asked again,
/// the same points come back and the server need not compute them anew. One with an end of its own
/// has a point there, since that is what somebody wants to see.
export function windowOf(panel: Panel, nowMs: number): { start: number; end: number; step: number } {
  const step = stepOf(panel);
  const last =
    panel.endMs === undefined ? Math.floor(nowMs / 1000 / step) * step : panel.endMs / 1000;
  const start = last - Math.floor(panel.rangeMs / 1000 / step) * step;
  return { start, end: last, step };
}
