// Serves metrics of prom-client on a free port, which it prints, and pushes some: node prom.mjs GATEWAY_URL
import http from "node:http";
import client from "prom-client";

const register = new client.Registry();
register.setContentType(client.Registry.OPENMETRICS_CONTENT_TYPE);
const trace = { trace_id: "0123456789abcdef0123456789abcdef" };
const requests = new client.Counter({
  name: "requests", help: "Requests.", labelNames: ["code"], registers: [register], enableExemplars: true,
});
requests.inc({ labels: { code: "200" }, value: 3, exemplarLabels: trace });
const latency = new client.Histogram({
  name: "latency", help: "Latency.", buckets: [0.1, 1], registers: [register], enableExemplars: true,
});
for (const value of [0.05, 0.5, 5]) latency.observe({ value, exemplarLabels: trace });
const summary = new client.Summary({ name: "size", help: "Size.", percentiles: [0.5], registers: [register] });
summary.observe(7);

const batch = new client.Registry();
const done = new client.Gauge({ name: "batch_done", help: "Done.", labelNames: ["step"], registers: [batch] });
done.set({ step: "a" }, 1);
const gateway = new client.Pushgateway(process.argv[2], {}, batch);
await gateway.pushAdd({ jobName: "batch", groupings: { instance: "one/two" } });

const server = http.createServer(async (_, response) => {
  response.setHeader("Content-Type", register.contentType);
  response.end(await register.metrics());
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
