import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { defineConfig } from "@playwright/test";

const mock = "http://127.0.0.1:8090";

/** The browser is the machine's own: CHROMIUM, or the first that is on PATH. */
function chromium(): string {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"];
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const found = names.flatMap((n) => folders.map((f) => join(f, n))).find((p) => existsSync(p));
  if (!found) throw new Error("no Chromium on PATH: install it, or name it in CHROMIUM");
  return found;
}

export default defineConfig({
  testDir: "tests",
  fullyParallel: false,
  workers: 1,
  retries: 0,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  reporter: "list",
  outputDir: "test-results",
  use: {
    baseURL: process.env.FAIRLEAD_URL ?? mock,
    viewport: { width: 1440, height: 1000 },
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: chromium(),
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    },
  },
  // The river has its own server, which the Makefile starts.
  ...(process.env.FAIRLEAD_URL
    ? {}
    : { webServer: { command: "node mock/server.mjs 8090", url: `${mock}/api/v1/status`, reuseExistingServer: false, stdout: "ignore" as const } }),
});
