import { defineConfig } from "@playwright/test";

const mock = "http://127.0.0.1:8090";

export default defineConfig({
  testDir: "tests",
  fullyParallel: false,
  workers: 1,
  retries: 0,
  timeout: 60_000,
  reporter: "list",
  outputDir: "test-results",
  use: {
    baseURL: process.env.FAIRLEAD_URL ?? mock,
    viewport: { width: 1440, height: 1000 },
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    },
  },
  // The river has its own server, which the Makefile starts.
  ...(process.env.FAIRLEAD_URL
    ? {}
    : { webServer: { command: "node mock/server.mjs 8090", url: `${mock}/api/v1/status`, reuseExistingServer: false, stdout: "ignore" as const } }),
});
