// What holds for every page: it can be read by everybody, on narrow screens and in both themes.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage } from "./browser.mjs";
import { traceIdOf } from "./shop.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(here, "../../../dashboards/ui/package.json"));

const kQuery = 'sum by (le) (rate(shop_request_seconds_bucket{service="payment"}[2m]))';
const parameters = (expr, more = "") => `/query?g0.expr=${encodeURIComponent(expr)}&g0.tab=graph${more}`;

/// Every page, and what is on it once it is ready.
export const kPages = [
  ["overview", "/overview", (page) => page.getByRole("heading", { name: "First steps" })],
  ["query", parameters('sum by (service) (rate(shop_requests_total{code="500"}[2m]))'), (page) => page.locator('.chart[data-state="ready"]')],
  ["heatmap", parameters(kQuery, "&g0.range_input=1h&g0.display_mode=heatmap"), (page) => page.locator('.chart[data-kind="heatmap"]')],
  ["table", "/query?g0.expr=shop_requests_total&g0.tab=table", (page) => page.getByRole("table")],
  ["explain", "/query?g0.expr=sum(rate(shop_requests_total[2m]))&g0.tab=explain", (page) => page.locator(".tree")],
  ["alerts", "/alerts", (page) => page.getByRole("heading", { name: /ErrorsInService/ })],
  ["timeline", undefined, (page) => page.locator('.chart[data-state="ready"]')],
  ["traces", "/traces?service=payment", (page) => page.getByRole("table")],
  ["trace", `/trace/${traceIdOf(0)}`, (page) => page.locator(".waterfall")],
  ["flame", `/trace/${traceIdOf(0)}?view=flame`, (page) => page.locator(".flame")],
  ["statistics", `/trace/${traceIdOf(0)}?view=statistics`, (page) => page.getByRole("table")],
  ["slos", "/slos", (page) => page.getByRole("table")],
  ["slo", "/slos/payment-availability?range=1h", (page) => page.getByRole("table", { name: "Tiers" })],
  ["what-if", "/slos/new", (page) => page.getByLabel("Objective")],
  ["services", "/services", (page) => page.getByRole("table", { name: "Calls" })],
  ["service", "/services/payment", (page) => page.getByRole("table", { name: "Operations" })],
  ["sampling", "/sampling", (page) => page.getByRole("table", { name: "Kept by policy" })],
  ["rules", "/rules", (page) => page.getByText("ErrorsInService").first()],
  ["targets", "/targets", (page) => page.getByText("/metrics").first()],
  ["discovery", "/service-discovery", (page) => page.getByText("__address__").first()],
  ["cardinality", "/tsdb-status", (page) => page.getByRole("heading", { name: "Unused metrics" })],
  ["status", "/status", (page) => page.getByText("tarsierVersion")],
  ["config", "/config", (page) => page.getByText("scrape_configs:")],
  ["flags", "/flags", (page) => page.getByText("--query.timeout").first()],
  ["alertmanagers", "/alertmanager-discovery", (page) => page.getByText("Active").first()],
];

/// The address of a page; that of an alert's timeline is not known beforehand.
export async function pathOf(url, name, path) {
  if (name === "trace") {
    const q = encodeURIComponent('{ resource.service.name = "payment" && status = error }');
    const { data } = await (await fetch(`${url}/api/tarsier/v1/traces/search?q=${q}&limit=1`)).json();
    return `/trace/${data.traces[0].traceID}`;
  }
  if (name !== "timeline") return path;
  const alerts = await (await fetch(`${url}/api/v2/alerts`)).json();
  const alert = alerts.find((one) => one.labels.alertname === "ErrorsInService");
  return `/alerts/${alert.fingerprint}?range=30m`;
}

const axe = () => readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/// What axe finds, in a line each.
async function faultsOf(page, source, runOnly) {
  await page.evaluate(source);
  return page.evaluate(async (only) => {
    const { violations } = await globalThis.axe.run(document, { runOnly: only, resultTypes: ["violations"] });
    return violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary?.split("\n")[1]?.trim().slice(0, 120)}`));
  }, runOnly);
}

const isInstalled = () => {
  try {
    return require.resolve("axe-core") !== "";
  } catch {
    return false;
  }
};

/// Adds the tests; `shop` and `browser` are asked when they run.
export function testPages(it, shop, browser) {
  for (const colorScheme of ["light", "dark"]) {
    it(`can be read by everybody, ${colorScheme}, down to 360 pixels`, { skip: isInstalled() ? false : "no axe-core" }, async () => {
      const source = axe();
      const faults = [];
      // Only colours differ between the themes.
      const runOnly =
        colorScheme === "dark"
          ? { type: "rule", values: ["color-contrast", "link-in-text-block"] }
          : { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] };
      const opened = await openPage(browser(), shop().url, { colorScheme });
      opened.page.setDefaultTimeout(20_000);
      try {
        for (const [name, path, ready] of kPages) {
          if (colorScheme === "dark" && !kShots.includes(name)) continue; // The others are made of the same.
          await opened.page.setViewportSize({ width: 1280, height: 800 });
          await opened.page.goto(shop().url + (await pathOf(shop().url, name, path)));
          await ready(opened.page).first().waitFor();
          faults.push(...(await faultsOf(opened.page, source, runOnly)).map((text) => `${name}: ${text}`));
          if (colorScheme === "dark") continue;
          await opened.page.setViewportSize({ width: 360, height: 800 });
          // Charts follow the window a moment later.
          let width = Infinity;
          for (let i = 0; i < 20 && width > 360; ++i) {
            width = await opened.page.evaluate(
              () => new Promise((resolve) => setTimeout(() => resolve(document.documentElement.scrollWidth), 50)),
            );
          }
          if (width > 360) faults.push(`${name}: ${width} pixels wide on a screen of 360`);
        }
        assert.deepEqual([...faults, ...opened.faults], []);
      } finally {
        await opened.close();
      }
    });
  }
}

/// Long tasks since the page began, the longest first, in milliseconds.
function watchTasks(page) {
  return page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.longTasks.push(Math.round(entry.duration));
    }).observe({ type: "longtask", buffered: true });
  });
}
const tasksOf = (page) => page.evaluate(() => globalThis.longTasks.sort((a, b) => b - a));

const kManySeries = 5000;
/// A task longer than this is one that readers notice. Machines that test are busy with other things:
/// what is printed is what counts, and this only catches what has gone wrong altogether.
const kTaskMsMax = 2000;

/// Adds tests with much on one page.
export function testLoad(it, shop, browser) {
  it("stays responsive with 5,000 series", async () => {
    const lines = [];
    for (let t = shop().now - 3600; t <= shop().now; t += 120) {
      for (let n = 0; n < kManySeries; ++n) lines.push(`many_series{n="${n}"} ${(n * 7 + t) % 1000} ${t * 1000}`);
    }
    const kLines = 40_000;
    for (let from = 0; from < lines.length; from += kLines) {
      const body = `${lines.slice(from, from + kLines).join("\n")}\n`;
      const answer = await fetch(`${shop().url}/api/v1/import/prometheus`, { method: "POST", body });
      assert.ok(answer.ok, await answer.text());
    }
    const opened = await openPage(browser(), shop().url);
    const { page } = opened;
    page.setDefaultTimeout(60_000);
    try {
      await watchTasks(page);
      await page.goto(`${shop().url}${parameters("many_series", "&g0.range_input=1h&g0.res_density=low&g0.res_type=auto")}`);
      await page.locator('.chart[data-state="ready"]').waitFor();
      await page.getByText(`of ${kManySeries} series`).waitFor();
      assert.ok(Number(await page.locator(".chart").getAttribute("data-series")) <= 200);
      const drawing = await tasksOf(page);
      await page.evaluate(() => (globalThis.longTasks = []));
      const box = await page.locator(".u-over").boundingBox();
      for (let x = 0.2; x < 0.8; x += 0.05) await page.mouse.move(box.x + box.width * x, box.y + 100);
      await page.getByText("Point at the graph").waitFor({ state: "detached" });
      const pointing = await tasksOf(page);
      console.log(`${kManySeries} series: tasks above 50 ms while drawing ${JSON.stringify(drawing)}, while pointing ${JSON.stringify(pointing)}`);
      assert.ok((drawing[0] ?? 0) < kTaskMsMax && (pointing[0] ?? 0) < kTaskMsMax);
      assert.deepEqual(opened.faults, []);
    } finally {
      await opened.close();
    }
  });

  it("answers keys and typing at once, without a mouse", async () => {
    const opened = await openPage(browser(), shop().url);
    const { page } = opened;
    page.setDefaultTimeout(20_000);
    try {
      await page.goto(`${shop().url}/overview`);
      await page.getByRole("heading", { name: "First steps" }).waitFor();
      await page.keyboard.press("Tab");
      assert.equal(await page.evaluate(() => document.activeElement?.textContent?.trim()), "To the content");
      for (const [keys, path] of [["gs", "/slos"], ["ga", "/alerts"], ["gt", "/traces"], ["gq", "/query"]]) {
        await page.evaluate(() => document.activeElement?.blur());
        for (const key of keys) await page.keyboard.press(key);
        await page.waitForURL(`${shop().url}${path}`);
      }
      await page.locator(".cm-content").waitFor();
      await page.evaluate(() => {
        globalThis.events = [];
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) globalThis.events.push(Math.round(entry.duration));
        }).observe({ type: "event", durationThreshold: 16, buffered: true });
      });
      await page.keyboard.press("/");
      await page.keyboard.type("sum(rate(shop_requests_total[5m]))");
      await page.keyboard.press("Escape");
      await page.getByText(/reads about/).waitFor();
      const slowest = await page.evaluate(() => globalThis.events.sort((a, b) => b - a).slice(0, 5));
      console.log(`typing: slowest events to the next paint ${JSON.stringify(slowest)} ms`);
      await page.keyboard.press("Control+Enter").catch(() => undefined);
      assert.deepEqual(opened.faults, []);
    } finally {
      await opened.close();
    }
  });
}

const kShots = ["overview", "query", "heatmap", "timeline", "trace", "slo", "services", "sampling", "cardinality"];

/// With SCREENSHOTS=<directory>: the pictures of the README.
export function takeScreenshots(it, shop, browser) {
  const directory = process.env.SCREENSHOTS;
  if (!directory) return;
  it("is photographed", async () => {
    mkdirSync(directory, { recursive: true });
    for (const colorScheme of ["light", "dark"]) {
      const opened = await openPage(browser(), shop().url, { colorScheme });
      opened.page.setDefaultTimeout(20_000);
      for (const [name, path, ready] of kPages) {
        if (!kShots.includes(name)) continue;
        await opened.page.goto(shop().url + (await pathOf(shop().url, name, path)));
        await ready(opened.page).first().waitFor();
        if (name === "slo") await opened.page.locator('.chart[data-state="ready"]').nth(1).waitFor();
        if (name === "trace") await opened.page.getByRole("button", { name: "Slowest span" }).click();
        await opened.page.evaluate(() => document.fonts.ready);
        await opened.page.screenshot({ path: join(directory, `${name}-${colorScheme}.png`) });
      }
      await opened.close();
    }
  });
}
