#!/usr/bin/env node
// Starts the binary of this platform, which npm installed as an optional dependency. It downloads nothing.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { optionalDependencies } = require("./package.json");

const platform = `${process.platform}-${process.arch}`;
const name = `@syntax-publish/${platform}`;

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

function binary() {
  if (!(name in optionalDependencies)) {
    const known = Object.keys(optionalDependencies).map((name) => name.split("/")[1]);
    fail(
      `syntax-publish has no binary for ${platform}, only for ${known.join(", ")}\n` +
        "hint: build it from source: the README says how",
    );
  }
  try {
    return require.resolve(`${name}/bin/syntax-publish`);
  } catch {
    fail(
      `the package ${name} is not installed, which has the binary of syntax-publish\n` +
        "hint: install again with optional dependencies: without --omit=optional and --no-optional, and on this platform " +
        "if node_modules came from another one; if a lock file was written on another platform, delete it and node_modules first",
    );
  }
}

const child = spawn(binary(), process.argv.slice(2), { stdio: "inherit" });

// From a terminal the child gets Ctrl-C as well; it takes no notice of the second one.
const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"];
for (const signal of forwarded) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => fail(`can't start ${child.spawnfile}: ${error.message}`));
child.on("exit", (code, signal) => {
  if (signal === null) {
    process.exit(code);
  }
  for (const signal of forwarded) {
    process.removeAllListeners(signal);
  }
  process.kill(process.pid, signal);
  // Where the signal does not end this process, say what a shell would.
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
});
