// How budgets and states of objectives look, wherever they are shown.

import { percent } from "../format";
import { Badge, type Health, InsideLink } from "../parts/parts";
import { useAnswer } from "../parts/use_answer";
import { byBudget, remainingOf, type SloJson } from "./types";

export const kStates: Record<string, Health> = {
  ok: "good",
  burning: "bad",
  no_traffic: "none",
  no_data: "warn",
  unknown: "none",
};

export function State({ state }: { state: string }) {
  return <Badge health={kStates[state] ?? "none"}>{state.replace("_", " ")}</Badge>;
}

/// A share of errors or a budget with three digits; what is not known is a dash.
export function share(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return "–";
  return Math.abs(ratio) >= 0.9995 && Math.abs(ratio) < 1 ? percent(ratio) : percent(Number(ratio.toPrecision(3)));
}

export function factor(burn: number | null | undefined): string {
  return burn === null || burn === undefined || !Number.isFinite(burn) ? "–" : `${Number(burn.toPrecision(3))}×`;
}

export function Budget({ remaining }: { remaining: number | null | undefined }) {
  if (remaining === null || remaining === undefined) return <span class="dim">not known yet</span>;
  const health = remaining <= 0 ? "bad" : remaining < 0.25 ? "warn" : "good";
  return (
    <>
      <meter value={Math.max(0, remaining)} max={1} aria-label={`${share(remaining)} of the budget left`} />{" "}
      <Badge health={health}>{share(remaining)}</Badge>
    </>
  );
}

/// The objectives of a service, with what is left, as links; nothing where there are none.
export function ObjectivesOf({ service }: { service: string }) {
  const loaded = useAnswer<{ slos: SloJson[] }>("api/tarsier/v1/slos", { service });
  const slos = byBudget(loaded.answer?.data.slos ?? []);
  if (slos.length === 0) return null;
  return (
    <ul class="plainlist" aria-label={`Objectives of ${service}`}>
      {slos.map((slo) => (
        <li key={slo.id}>
          <InsideLink to={`/slos/${encodeURIComponent(slo.id)}`}>
            {slo.service || slo.id}: {slo.name} {slo.objective} %
          </InsideLink>{" "}
          <Budget remaining={remainingOf(slo)} />
        </li>
      ))}
    </ul>
  );
}
