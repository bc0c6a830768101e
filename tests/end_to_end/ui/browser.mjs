// Starts the real program and a real browser, and ends both.

import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(here, "../../../dashboards/ui/package.json"));

export function chromiumPath() {
  if (process.env.CHROMIUM_PATH) return process.env.CHROMIUM_PATH;
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // The next one.
    }
  }
  return undefined;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const kRules = `
groups:
- name: demo
  interval: 1s
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: NothingThere
    expr: up{job="nothing"} == 0
    labels: {severity: page}
    annotations: {summary: "{{ $labels.instance }} does not answer", danger: "<img src=x onerror=document.title='hacked'>"}
`;

/// The program with a configuration of its own, in a directory that goes with it. `files` are written
/// beside the configuration, `isReady` is asked until it is true.
export async function launch({ configOf, files = {}, flags = [], isReady }) {
  const directory = mkdtempSync(join(tmpdir(), "tarsier_ui_"));
  const port = await freePort();
  const prefix = flags.find((flag) => flag.startsWith("--web.external-url="))?.split("/").at(-1) ?? "";
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  writeFileSync(join(directory, "tarsier.yml"), configOf(port));
  const process_ = spawn(
    process.env.TARSIER,
    [
      `--config.file=${join(directory, "tarsier.yml")}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--otlp.http-address=",
      "--otlp.grpc-address=",
      ...flags,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  process_.stderr.on("data", (text) => (log += text));
  const url = `http://127.0.0.1:${port}${prefix ? `/${prefix}` : ""}`;
  const stop = async () => {
    process_.kill("SIGTERM");
    await new Promise((resolve) => (process_.exitCode === null ? process_.once("exit", resolve) : resolve()));
    rmSync(directory, { recursive: true, force: true });
  };
  const server = { url, directory, stop, log: () => log };
  try {
    await until(
      async () => {
        if (process_.exitCode !== null) throw new Error(`the server ended:\n${log}`);
        return isReady(server);
      },
      () => `the server is ready:\n${log}`,
    );
  } catch (problem) {
    await stop(); // Or this process would wait for it.
    throw problem;
  }
  return server;
}

export async function until(isTrue, what, timeoutMs = 60_000) {
  const deadline = Date.now() + timeoutMs;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${typeof what === "function" ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/// Whether an instant query gives anything.
export async function hasResult(url, query) {
  const answer = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`).catch(() => undefined);
  return answer?.ok === true && (await answer.json()).data.result.length > 0;
}

/// A server that scrapes itself every second, one target that is down, and a rule about it.
export function startServer(extra = []) {
  const prefix = extra.find((flag) => flag.startsWith("--web.external-url="))?.split("/").at(-1) ?? "";
  const metrics = prefix ? `/${prefix}/metrics` : "/metrics";
  return launch({
    flags: extra,
    files: { "rules.yml": kRules },
    configOf: (port) => `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- job_name: tarsier
  metrics_path: ${metrics}
  static_configs: [{targets: ['127.0.0.1:${port}'], labels: {hostile: '<img src=x onerror=alert(1)>'}}]
- job_name: nothing
  static_configs: [{targets: ['127.0.0.1:1']}]
`,
    // Old enough for a graph of an hour, whose last step may be 14 s ago, to show something.
    isReady: (server) => hasResult(server.url, "count(up offset 15s) == 2"),
  });
}

export async function startBrowser() {
  const { chromium } = require("playwright-core");
  return chromium.launch({
    executablePath: chromiumPath(),
    headless: true,
    args: [
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--font-render-hinting=none",
      "--force-color-profile=srgb",
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
}

/// A page that remembers whatever a page must never do: errors, requests to others.
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    deviceScaleFactor: 1,
    locale: "en-GB",
    timezoneId: "UTC",
    reducedMotion: "reduce",
    ...options,
  });
  const page = await context.newPage();
  // With UI_DIST=1 the files in dist/, and not those in the program: for work on the UI.
  if (process.env.UI_DIST) {
    await context.route("**/assets/*", (route) => {
      const path = join(here, "../../../dashboards/ui/dist/assets", new URL(route.request().url()).pathname.split("/").at(-1));
      return existsSync(path) ? route.fulfill({ path }) : route.continue();
    });
  }
  const faults = [];
  const origin = new URL(url).origin;
  page.on("pageerror", (error) => faults.push(`exception: ${error}`));
  page.on("console", (message) => {
    // A query that is refused is a 400, which the browser reports as an error of its own.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith(origin) && !target.startsWith("data:")) faults.push(`request to ${target}`);
  });
  return { page, faults, close: () => context.close() };
}

export function distFile(path) {
  const full = join(here, "../../../dashboards/ui/dist", path);
  return existsSync(full) ? readFileSync(full) : undefined;
}
