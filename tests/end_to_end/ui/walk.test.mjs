// The way from a page to its cause, by clicks and one drag.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { chromiumPath, hasResult, openPage, startBrowser, until } from "./browser.mjs";
import { takeScreenshots, testLoad, testPages } from "./pages.mjs";
import { startShop, traceIdOf } from "./shop.mjs";

const kTimeout = 20_000;

describe("a shop in trouble", { timeout: 240_000, skip: chromiumPath() ? false : "no Chromium found" }, () => {
  let shop;
  let browser;

  before(async () => {
    shop = await startShop();
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await shop?.stop();
  });

  async function onPage(path, work, options) {
    const opened = await openPage(browser, shop.url, options);
    opened.page.setDefaultTimeout(kTimeout);
    try {
      await opened.page.goto(shop.url + path);
      await work(opened.page);
      assert.deepEqual(opened.faults, []);
    } finally {
      await opened.close();
    }
  }

  async function dragOver(page, from, to) {
    const area = page.locator(".u-over").first();
    await area.waitFor();
    const box = await area.boundingBox();
    await page.mouse.move(box.x + box.width * from, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * to, box.y + 70, { steps: 5 });
    await page.mouse.up();
  }

  it("is walked from the alert to the objective of the slow span without typing", () =>
    onPage("/overview", async (page) => {
      // The alert, and why it fires. The navigation tells by itself how many do.
      await page.getByRole("link", { name: /Alerts\s*2\s*firing/ }).waitFor();
      await page.getByRole("link", { name: /ErrorsInService/ }).first().click();
      await page.waitForURL(/\/alerts\/[0-9a-f]{16}/);
      const cause = page.locator("[data-cause]");
      await cause.waitFor();
      assert.match(await cause.textContent(), /it fires: .* is [\d.]+ against 2/);
      const lanes = page.getByRole("article", { name: "Lanes" });
      const id = page.url().match(/alerts\/([0-9a-f]+)/)[1];
      const { data } = await (await fetch(`${shop.url}/api/tarsier/v1/alerts/${id}/timeline`)).json();
      assert.ok(Number(await lanes.getAttribute("data-ticks")) >= data.ticks.length - 100);
      await lanes.getByRole("list", { name: "State" }).getByText("firing").waitFor();
      // The spike, and the kept traces of it.
      await page.getByRole("link", { name: "Graph of the expression" }).click();
      await page.locator('.chart[data-state="ready"]').waitFor();
      await dragOver(page, 0.94, 0.995);
      await page.waitForURL(/g0\.end_input=/);
      const traces = page.getByRole("article", { name: "Kept traces" });
      await traces.getByRole("link", { name: "frontend: POST /checkout" }).first().click();
      // The span where the time went, and what it did to the budget.
      await page.locator(".waterfall").waitFor();
      await page.getByRole("button", { name: "Slowest span" }).click();
      const span = page.getByRole("complementary", { name: "Span" });
      await span.getByRole("heading", { name: "Charge" }).waitFor();
      await span.getByText("onerror").waitFor();
      await span.getByRole("link", { name: "payment: availability 99.7 %" }).click();
      await page.waitForURL(/\/slos\/payment-availability/);
      await page.getByText("of the budget left").first().waitFor();
      await page.getByText(/payment-availability/).first().waitFor();
    }));

  it("takes links of other programs", async () => {
    for (const [link, target] of [
      ["/vmui/#/?g0.expr=up&g0.range_input=30m", /\/query\?g0\.expr=up/],
      ["/objectives?expr={__name__%3D%22payment-availability%22}", /\/slos\/payment-availability/],
      ["/dependencies", /\/services$/],
    ]) {
      await onPage(link, (page) => page.waitForURL(target));
    }
  });

  it("shows objectives by what is left, and one of them whole", () =>
    onPage("/slos", async (page) => {
      const first = page.getByRole("row").nth(1);
      await first.getByRole("link", { name: "payment-availability" }).waitFor();
      await first.getByText("burning").waitFor();
      await first.getByRole("link", { name: "payment-availability" }).click();
      await page.getByRole("heading", { name: "payment-availability" }).waitFor();
      await page.getByRole("table", { name: "Tiers" }).getByText("burning").first().waitFor();
      const backtest = page.getByRole("article", { name: "Backtest" });
      await backtest.getByLabel("Over the last").selectOption("6h");
      await backtest.getByRole("button", { name: "Backtest" }).click();
      await backtest.getByText(/alerts? would have fired/).waitFor();
      // The same, changed: what is not saved yet.
      await page.getByText("Change it and see").click();
      const whatIf = page.getByRole("article", { name: "What if" });
      const field = whatIf.getByLabel("Objective");
      const text = await field.inputValue();
      assert.match(text, /objective: 99.7/);
      await field.fill(text.replace("objective: 99.7", "objective: 20"));
      await whatIf.getByLabel("Over the last").selectOption("6h");
      await whatIf.getByRole("button", { name: "Backtest" }).click();
      await whatIf.getByText("No alert would have fired").waitFor();
      await field.fill("slos: [{name: x}]");
      await whatIf.getByRole("button", { name: "Backtest" }).click();
      await whatIf.getByRole("alert").waitFor();
    }));

  it("says why the objective's page fires", () =>
    onPage("/alerts", async (page) => {
      const objective = page.getByRole("article").filter({ hasText: "payment-availability" });
      await objective.getByRole("link", { name: "why" }).first().click();
      await page.locator("[data-cause]").filter({ hasText: /1h/ }).waitFor();
      await page.locator('.chart[data-state="ready"]').waitFor();
      await dragOver(page, 0.9, 0.99);
      await page.waitForURL(/\/traces\?.*start=\d{16}/);
      await page.getByRole("link", { name: "frontend: POST /checkout" }).first().waitFor();
    }));

  it("shows services by their spans, and who calls whom", () =>
    onPage("/services", async (page) => {
      await page.getByRole("table", { name: "Services" }).getByRole("link", { name: "payment" }).waitFor();
      await page.getByRole("group", { name: /services, .* kinds of calls/ }).waitFor();
      await page.getByRole("table", { name: "Calls" }).getByRole("cell", { name: "ledger (database)" }).waitFor();
      await page.getByRole("table", { name: "Services" }).getByRole("link", { name: "payment" }).click();
      await page.getByRole("table", { name: "Operations" }).getByText("Charge").waitFor();
      await page.getByRole("link", { name: "payment: availability 99.7 %" }).waitFor();
    }));

  it("says what sampling kept, and what became of a trace", () =>
    onPage("/sampling", async (page) => {
      await page.getByRole("table", { name: "Kept by policy" }).getByText("errors", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Simulate" }).click();
      await page.getByRole("table", { name: "Kept before and then" }).getByText("kept then").waitFor();
      await page.getByLabel("Trace id").fill(traceIdOf(0));
      await page.getByRole("button", { name: "Explain" }).click();
      await page.getByText(/decided at/).waitFor();
      await page.getByLabel("Trace id").fill("1".repeat(32));
      await page.getByRole("button", { name: "Explain" }).click();
      await page.getByText("did not come here").waitFor();
    }));

  it("draws a heatmap of buckets, and leads from a cell to traces", () => {
    const expr = encodeURIComponent("sum by (le) (rate(traces_spanmetrics_latency_bucket[1m]))");
    return onPage(`/query?g0.expr=${expr}&g0.tab=graph&g0.range_input=5m&g0.display_mode=heatmap`, async (page) => {
      const chart = page.locator('.chart[data-kind="heatmap"]');
      await chart.waitFor();
      assert.ok(Number(await chart.getAttribute("data-cells")) > 3);
      assert.equal(await page.getByLabel("Heatmap", { exact: true }).isChecked(), true);
      const box = await page.locator("canvas.heatmap").boundingBox();
      await page.mouse.move(box.x + box.width * 0.8, box.y + 100);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.99, box.y + 120, { steps: 4 });
      await page.mouse.up();
      await page.waitForURL(/display_mode=heatmap.*end_input=/);
      await page.getByRole("article", { name: "Kept traces" }).waitFor();
    });
  });

  it("marks exemplars, which lead to their traces", () => {
    const expr = encodeURIComponent("histogram_quantile(0.9, sum by (le) (rate(traces_spanmetrics_latency_bucket[1m])))");
    return onPage(`/query?g0.expr=${expr}&g0.tab=graph&g0.range_input=10m&g0.show_exemplars=1`, async (page) => {
      await page.locator('.chart[data-state="ready"]').waitFor();
      await page.getByText(/exemplars: the diamonds/).click();
      await page.getByRole("link", { name: /^[0-9a-f]{32}$/ }).first().click();
      await page.locator(".waterfall").waitFor();
    });
  });

  it("explores metrics by name, label and value", () =>
    onPage("/query", async (page) => {
      await page.getByRole("button", { name: "Metrics", exact: true }).click();
      const explorer = page.getByRole("article", { name: "Metrics explorer" });
      await explorer.getByLabel("Find a metric").fill("shopreq");
      await explorer.getByRole("button", { name: "shop_requests_total" }).click();
      await explorer.getByRole("button", { name: "service", exact: true }).click();
      await explorer.getByRole("button", { name: "payment" }).click();
      await explorer.getByRole("button", { name: "Use it" }).click();
      await page.waitForURL(/g0\.expr=shop_requests_total%7Bservice%3D%22payment%22%7D/);
      await page.getByRole("cell", { name: /code="500"/ }).waitFor();
      await page.getByText(/reads about/).waitFor();
    }));

  it("names metrics nobody reads, with a rule that drops them", () =>
    onPage("/tsdb-status", async (page) => {
      const unused = page.getByRole("article", { name: "Unused metrics" });
      await unused.getByText("Which, and a rule").click();
      const rule = unused.locator("[data-drop-rule]");
      const text = await rule.textContent();
      assert.match(text, /source_labels: \[__name__\]/);
      assert.ok(!/\bshop_requests_total\b/.test(text), "a rule and objectives read it");
      const [first] = text.match(/prometheus_\w+/);
      await unused.getByLabel(`Drop ${first}`, { exact: true }).uncheck();
      assert.ok(!new RegExp(`[|']${first}[|']`).test(await rule.textContent()));
    }));

  it("shows a trace as a flame, as statistics, and against another", () =>
    onPage(`/trace/${traceIdOf(0)}`, async (page) => {
      await page.getByRole("tab", { name: "Flame" }).click();
      await page.getByRole("list", { name: "Flame" }).getByText("Charge").waitFor();
      await page.getByRole("tab", { name: "Statistics" }).click();
      await page.getByRole("table", { name: "Statistics" }).getByRole("cell", { name: "Charge" }).waitFor();
      await page.getByRole("tab", { name: "Compare" }).click();
      const { data } = await (await fetch(`${shop.url}/jaeger/api/traces?service=payment&limit=1&lookback=1h`)).json();
      await page.getByLabel("With trace").fill(data[0].traceID);
      await page.getByRole("button", { name: "Compare" }).click();
      await page.getByRole("table", { name: "Differences" }).getByRole("cell", { name: "Charge" }).waitFor();
    }));

  it("draws budgets and burn rates over time", async () => {
    // They are written once a minute.
    await until(() => hasResult(shop.url, "tarsier_slo_burn_rate"), "burn rates are written", 70_000);
    await onPage("/slos/payment-availability?range=1h", async (page) => {
      for (const title of ["Budget left", "Burn rates"]) {
        const heading = page.getByRole("heading", { name: title });
        await page.getByRole("article").filter({ has: heading }).locator('.chart[data-state="ready"]').waitFor();
      }
    });
  });

  testLoad(it, () => shop, () => browser);
  testPages(it, () => shop, () => browser);
  takeScreenshots(it, () => shop, () => browser);
});
