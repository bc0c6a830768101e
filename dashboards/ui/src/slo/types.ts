// /api/tarsier/v1/slos and backtests.

import type { Labels } from "../format";

export interface WindowJson {
  window: string;
  badEvents?: number;
  totalEvents?: number;
  errorRatio: number | null;
  burnRate: number | null;
  coverage: number;
}

export interface TierJson {
  severity: string;
  long: string;
  short: string;
  factor: number;
  for: string;
  threshold: number;
  status: string;
  longRatio: number | null;
  shortRatio: number | null;
}

export interface SloGroupJson {
  group: Labels;
  state: string;
  at: string;
  lastSample?: string;
  windows: WindowJson[];
  period: WindowJson;
  budgetRemaining: number | null;
  timeToExhaustion: string | null;
  tiers: TierJson[];
  causes: Record<string, string>;
}

export interface ForecastJson {
  severity: string;
  long: string;
  short: string;
  factor: number;
  threshold: number;
  reachable: boolean;
  budgetShare: number;
  cases: { errorRatio: number; detectionSeconds: number | null; resetSeconds: number | null }[];
}

export interface SloJson {
  id: string;
  name: string;
  service: string;
  description: string;
  file: string;
  format: string;
  definition: string;
  objective: number;
  period: string;
  ready: boolean;
  lastError: string;
  labels: Labels;
  warnings: string[];
  groups: SloGroupJson[];
  alerts: { id: string; state: string; activeAt: string; value: number; labels: Labels; annotations: Labels }[];
  forecast?: ForecastJson[];
}

export interface BacktestJson {
  start: string;
  end: string;
  evaluations: number;
  samplesRead: number;
  warnings: string[];
  alerts: {
    severity: string;
    firedAt: string;
    endedAt: string | null;
    reason?: string;
    tier: string;
    cause: string;
    budgetConsumed: number;
    inhibited: boolean;
    labels: Labels;
  }[];
  budgets: { group: Labels; badEvents: number; totalEvents: number; consumed: number | null; coverage: number }[];
  forecast: ForecastJson[];
}

/// What is left in the group that has least; nothing known counts as all.
export function remainingOf(slo: SloJson): number | undefined {
  const known = slo.groups.map((group) => group.budgetRemaining).filter((v) => v !== null);
  return known.length === 0 ? undefined : Math.min(...known);
}

/// Least budget first; what is not known yet comes last.
export function byBudget(slos: SloJson[]): SloJson[] {
  const of = (slo: SloJson) => remainingOf(slo) ?? Infinity;
  return [...slos].sort((a, b) => of(a) - of(b) || (a.id < b.id ? -1 : 1));
}

export function burnOf(group: SloGroupJson, window: string): number | null | undefined {
  return group.windows.find((one) => one.window === window)?.burnRate;
}
