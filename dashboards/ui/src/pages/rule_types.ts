// /api/v1/rules

import type { Labels } from "../format";

export interface AlertJson {
  labels: Labels;
  annotations: Labels;
  state: "firing" | "pending" | "inactive";
  activeAt: string;
  value: string;
  fingerprint: string; // Its id, as receivers are told it.
  keepFiringSince?: string;
}

export interface RuleJson {
  type: "alerting" | "recording";
  name: string;
  query: string;
  labels: Labels;
  health: "ok" | "err" | "unknown";
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  state?: "firing" | "pending" | "inactive" | "unknown";
  duration?: number;
  keepFiringFor?: number;
  annotations?: Labels;
  alerts?: AlertJson[];
}

export interface GroupJson {
  name: string;
  file: string;
  interval: number;
  evaluationTime: number;
  lastEvaluation: string;
  rules: RuleJson[];
}
