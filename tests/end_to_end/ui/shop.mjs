// A shop whose payment went wrong: three hours of metrics, an objective, a rule, traces of the last
// minutes. All numbers follow from the clock at the start and a fixed seed.

import { createServer } from "node:http";
import { hasResult, launch, until } from "./browser.mjs";

const kHistorySeconds = 3 * 3600;
const kStepSeconds = 15;
export const kIncidentSeconds = 12 * 60; // Until now.
const kServices = ["frontend", "checkout", "payment"];

const kSlos = `slos:
- name: availability
  service: payment
  description: Payments succeed.
  objective: 99.7
  sli:
    errors: 'shop_requests_total{service="payment",code="500"}'
    total: 'shop_requests_total{service="payment"}'
- name: availability
  service: frontend
  objective: 99
  sli:
    errors: 'shop_requests_total{service="frontend",code="500"}'
    total: 'shop_requests_total{service="frontend"}'
`;

const kRules = `groups:
- name: shop
  interval: 1s
  rules:
  - alert: ErrorsInService
    expr: sum by (service) (rate(shop_requests_total{code="500"}[2m])) > 2
    for: 3s
    labels: {severity: page}
    annotations: {summary: "{{ $labels.service }} answers {{ $value }} errors a second"}
`;

/// Mulberry32: the same numbers each time.
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/// Counters and a classic histogram, in the text format with times: what each step adds.
function metricsFrom(now) {
  const random = randomOf(1);
  const bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
  const totals = kServices.map(() => ({ good: 0, bad: 0, buckets: new Array(bounds.length + 1).fill(0), sum: 0 }));
  return (t) => {
    const lines = [];
    const isIncident = t > now - kIncidentSeconds;
    kServices.forEach((service, s) => {
      const total = totals[s];
      const calls = 300 + Math.round(random() * 60);
      const isBad = isIncident && service === "payment";
      const bad = Math.round(calls * (isBad ? 0.3 : service === "frontend" && isIncident ? 0.02 : 0.0005));
      total.good += calls - bad;
      total.bad += bad;
      for (let i = 0; i < 20; ++i) {
        const took = (0.02 + random() * 0.08 * (s + 1)) * (isBad ? 10 : 1);
        const at = bounds.findIndex((bound) => took <= bound);
        total.buckets[at < 0 ? bounds.length : at] += calls / 20;
        total.sum += (took * calls) / 20;
      }
      lines.push(`shop_requests_total{service="${service}",code="200"} ${total.good} ${t * 1000}`);
      lines.push(`shop_requests_total{service="${service}",code="500"} ${total.bad} ${t * 1000}`);
      let sum = 0;
      total.buckets.forEach((n, i) => {
        sum += n;
        lines.push(`shop_request_seconds_bucket{service="${service}",le="${bounds[i] ?? "+Inf"}"} ${sum} ${t * 1000}`);
      });
      lines.push(`shop_request_seconds_count{service="${service}"} ${sum} ${t * 1000}`);
      lines.push(`shop_request_seconds_sum{service="${service}"} ${total.sum} ${t * 1000}`);
    });
    return lines;
  };
}

async function post(url, type, body) {
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": type }, body });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
}

const kLines = 20_000;

async function sendLines(url, lines) {
  for (let from = 0; from < lines.length; from += kLines) {
    await post(`${url}/api/v1/import/prometheus`, "text/plain", `${lines.slice(from, from + kLines).join("\n")}\n`);
  }
}

const attribute = (key, stringValue) => ({ key, value: { stringValue } });

/// OTLP in JSON out of {service, span}.
export async function sendSpans(url, spans) {
  const byService = Map.groupBy ? Map.groupBy(spans, (one) => one.service) : new Map();
  if (!Map.groupBy) {
    for (const one of spans) byService.set(one.service, [...(byService.get(one.service) ?? []), one]);
  }
  const resourceSpans = [...byService].map(([service, own]) => ({
    resource: { attributes: [attribute("service.name", service)] },
    scopeSpans: [{ spans: own.map((one) => one.span) }],
  }));
  await post(`${url}/v1/traces`, "application/json", JSON.stringify({ resourceSpans }));
}

/// One checkout: frontend calls checkout calls payment, which waits for its database.
export function checkoutTrace(traceId, startMs, paymentMs, fails) {
  const id = (n) => traceId.slice(0, 14) + n.toString(16).padStart(2, "0");
  const span = (service, n, parent, name, kind, offset, took, more = {}) => ({
    service,
    span: {
      traceId,
      spanId: id(n),
      parentSpanId: parent === 0 ? "" : id(parent),
      name,
      kind,
      startTimeUnixNano: `${startMs + offset}000000`,
      endTimeUnixNano: `${startMs + offset + took}000000`,
      ...more,
    },
  });
  const status = fails ? { status: { code: 2, message: "card network timed out" } } : {};
  return [
    span("frontend", 1, 0, "POST /checkout", 2, 0, paymentMs + 60, fails ? { status: { code: 2 } } : {}),
    span("frontend", 2, 1, "checkout", 3, 5, paymentMs + 50),
    span("checkout", 3, 2, "PlaceOrder", 2, 8, paymentMs + 45),
    span("checkout", 4, 3, "payment", 3, 20, paymentMs + 20),
    span("payment", 5, 4, "Charge", 2, 25, paymentMs + 10, {
      attributes: [attribute("card.network", "slowcard"), attribute("note", "<img src=x onerror=document.title='hacked'>")],
      ...status,
    }),
    span("payment", 6, 5, "INSERT ledger", 3, 27, 8, { attributes: [attribute("db.system", "postgresql"), attribute("db.name", "ledger")] }),
  ];
}

export const traceIdOf = (n) => (0xabcdef0000000000n + BigInt(n)).toString(16).padStart(16, "0").repeat(2);

async function sendTraces(url, now) {
  const random = randomOf(2);
  const spans = [];
  for (let n = 0; n < 240; ++n) {
    const at = (now - 240 * 5 + n * 5) * 1000; // One every five seconds: 20 minutes.
    const isIncident = at / 1000 > now - kIncidentSeconds;
    const isBad = isIncident && random() < 0.3;
    spans.push(...checkoutTrace(traceIdOf(n), Math.round(at), isBad ? 1500 + Math.round(random() * 500) : 80, isBad));
  }
  // Counters of spans begin with their first ones: later ones make rates.
  const half = spans.length / 2;
  await sendSpans(url, spans.slice(0, half));
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await sendSpans(url, spans.slice(half));
}

/// Hears what the notifier has to say.
async function startReceiver() {
  const server = createServer((request, answer) => {
    request.resume();
    request.on("end", () => answer.end());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const kConfig = (port, receiver) => `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
slo_files: [slos.yml]
storage: {tsdb: {out_of_order_time_window: 6h}}
traces:
  sampling: {decision_wait: 2s, decision_wait_after_root_received: 200ms}
  span_metrics: {interval: 1s}
  service_graph: {interval: 1s, wait: 2s}
notifier:
  route: {receiver: team, group_by: [alertname], group_wait: 0s, group_interval: 1s}
  receivers:
  - name: team
    webhook_configs: [{url: 'http://127.0.0.1:${receiver}/'}]
scrape_configs:
- job_name: tarsier
  static_configs: [{targets: ['127.0.0.1:${port}']}]
`;

/// The shop, from when its pages fire and its traces are kept. Its samples go on while it is up.
export async function startShop() {
  const receiver = await startReceiver();
  const server = await launch({
    files: { "slos.yml": kSlos, "rules.yml": kRules },
    configOf: (port) => kConfig(port, receiver.address().port),
    isReady: async (one) => (await fetch(`${one.url}/-/ready`).catch(() => undefined))?.ok === true,
  });
  const now = Math.floor(Date.now() / 1000 / kStepSeconds) * kStepSeconds;
  const linesAt = metricsFrom(now);
  let last = now - kHistorySeconds;
  const goOn = async () => {
    const lines = [];
    for (; last <= Date.now() / 1000; last += kStepSeconds) lines.push(...linesAt(last));
    if (lines.length > 0) await sendLines(server.url, lines);
  };
  let timer;
  const stop = async () => {
    clearInterval(timer);
    await server.stop();
    receiver.close();
  };
  try {
    await goOn();
    timer = setInterval(() => goOn().catch(() => undefined), 3000);
    await sendTraces(server.url, now);
    await until(
      async () => {
        const { data } = await (await fetch(`${server.url}/api/tarsier/v1/slos`)).json();
        return data.slos.some((slo) => slo.alerts.some((alert) => alert.state === "firing"));
      },
      () => `the objective's page fires\n${server.log()}`,
    );
    await until(() => hasResult(server.url, 'ALERTS{alertstate="firing"}'), "the rule's alert fires");
    await until(() => hasResult(server.url, "sum(rate(traces_service_graph_request_total[1m])) > 0"), "calls are counted");
  } catch (problem) {
    await stop();
    throw problem;
  }
  return { ...server, stop, now };
}
