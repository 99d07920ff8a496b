// The steps of action.yml: `install` gets the binary of a release, `run` does what the event asks for.
//
// Everything comes in as variables. Nothing that a pull request can say becomes part of a command or of a path, except its
// number. It must not print the key or the token, nor hand them to the tool.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";

const { env } = process;

class Failure extends Error {}

function fail(message) {
  throw new Failure(message);
}

/** One line of text for the runner, which takes `%`, CR and LF for its own. */
function tell(kind, text) {
  const escaped = text.replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
  console.log(`::${kind} title=syntax-publish::${escaped}`);
}

function folder() {
  if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$/.test(env.VERSION)) {
    fail(`\`version\` is ${JSON.stringify(env.VERSION)}, not a release such as 0.1.0. Nothing was installed or published.`);
  }
  return join(env.RUNNER_TEMP, `syntax-publish-${env.VERSION}`);
}

async function install() {
  const to = folder();
  const platform = `${process.platform}-${process.arch}`;
  const name = `syntax-publish-${platform}`;
  const download = async (name) => {
    const url = `${env.RELEASES}/v${env.VERSION}/${name}`;
    const answer = await fetch(url).catch((error) => fail(`${url}: ${error.cause?.message ?? error.message}`));
    if (!answer.ok) {
      fail(`${url}: ${answer.status}. Is there a release ${env.VERSION}, with a binary for ${platform}? Nothing was installed or published.`);
    }
    return Buffer.from(await answer.arrayBuffer());
  };
  let expected = env.SHA256.toLowerCase();
  if (!expected) {
    const lines = (await download("SHA256SUMS")).toString().split("\n");
    const sums = lines.map((line) => line.split(/ [ *]/));
    expected = sums.find(([, file]) => file === name)?.[0] ?? fail(`SHA256SUMS of ${env.VERSION} has no ${name}`);
  }
  const binary = await download(name);
  const digest = createHash("sha256").update(binary).digest("hex");
  if (digest !== expected) {
    fail(`${name} of ${env.VERSION} has the digest ${digest}, not ${expected}: it is not the binary that was meant. Nothing was installed or published.`);
  }
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  writeFileSync(join(to, "syntax-publish"), binary, { mode: 0o755 });
  appendFileSync(env.GITHUB_PATH, `${to}\n`);
}

/** What an event asks for: `publish`, `check`, `preview`, `remove` or `nothing`. */
function wanted(name, event) {
  if (name === "pull_request_target" || name === "workflow_run") {
    fail(`not on ${name}: such a run has your secrets, and what it would build can be anybody's. Use pull_request.`);
  }
  if (name !== "pull_request") {
    return env.GITHUB_REF === `refs/heads/${event.repository.default_branch}` ? "publish" : "check";
  }
  const closed = event.action === "closed";
  // Neither gets a secret from GitHub.
  const isForeign =
    event.pull_request.head.repo?.full_name !== event.repository.full_name || env.GITHUB_ACTOR === "dependabot[bot]";
  if (isForeign || !env.CHANNEL) {
    return closed ? "nothing" : "check";
  }
  return closed ? "remove" : "preview";
}

/** Runs the tool, and returns its exit code and stdout, which is shown too unless `quiet`. */
function tool(args, { summary = env.GITHUB_STEP_SUMMARY, quiet = false } = {}) {
  const { SSH_KEY: key, TOKEN: _, ...others } = env;
  const common = [...(env.SITE ? ["--site", env.SITE] : []), ...(env.TARGET ? ["--target", env.TARGET] : [])];
  let command = [join(folder(), "syntax-publish"), ...args, ...common];
  if (key) {
    // The agent ends with the command that it starts. The key comes in by a pipe: it is neither in a file nor in a variable.
    const add = 'ssh-add -q - <&3 && exec 3<&- && exec "$@"';
    command = ["ssh-agent", "sh", "-c", add, "sh", ...command];
  }
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), {
      // The cache is where action.yml restores it.
      env: { ...others, GITHUB_STEP_SUMMARY: summary, XDG_CACHE_HOME: "" },
      stdio: ["ignore", "pipe", "inherit", ...(key ? ["pipe"] : [])],
    });
    // The runner cancels a job by a signal to this process alone.
    for (const signal of ["SIGINT", "SIGTERM"]) {
      process.on(signal, () => child.kill(signal));
    }
    let stdout = "";
    child.stdout.on("data", (bytes) => {
      stdout += bytes;
      if (!quiet) process.stdout.write(bytes);
    });
    child.stdio[3]?.on("error", () => {}); // It ended before it took the key.
    child.stdio[3]?.end(`${key.trimEnd()}\n`);
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code: code ?? 128 + constants.signals[signal], stdout }));
  });
}

/** Writes the one comment of this site to the pull request: changes it if it is there. */
async function comment(number, text, onlyIfThere = false) {
  if (env.COMMENT !== "true") return;
  const site = [env.SITE || process.cwd().slice(env.GITHUB_WORKSPACE.length), env.TARGET].map(encodeURIComponent);
  const marker = `<!-- syntax-publish ${site.join(" ")} -->`;
  const ask = async (method, path, body) => {
    const answer = await fetch(`${env.GITHUB_API_URL}/repos/${env.GITHUB_REPOSITORY}/${path}`, {
      method,
      headers: { authorization: `Bearer ${env.TOKEN}`, accept: "application/vnd.github+json", "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) {
      const hint = answer.status === 403 ? ": the job needs `permissions: pull-requests: write`" : "";
      throw new Error(`${method} ${path} is ${answer.status}${hint}`);
    }
    return answer.json();
  };
  try {
    let own;
    for (let page = 1, full = true; full && !own; page += 1) {
      const comments = await ask("GET", `issues/${number}/comments?per_page=100&page=${page}`);
      own = comments.find(({ body }) => body?.startsWith(marker));
      full = comments.length === 100;
    }
    const body = { body: `${marker}\n${text}\n` };
    if (own) {
      await ask("PATCH", `issues/comments/${own.id}`, body);
    } else if (!onlyIfThere) {
      await ask("POST", `issues/${number}/comments`, body);
    }
  } catch (error) {
    // The preview is there all the same.
    tell("warning", `the comment on the pull request was not written: ${error.message}`);
  }
}

async function preview(channel, number, head) {
  const summary = join(env.RUNNER_TEMP, `syntax-publish-${channel}.md`);
  writeFileSync(summary, "");
  const { code, stdout } = await tool(["publish", "--channel", channel, "--wait", env.WAIT, "--json"], { summary });
  const told = readFileSync(summary, "utf8");
  rmSync(summary);
  appendFileSync(env.GITHUB_STEP_SUMMARY, told);
  if (code !== 0) return code;
  const { url } = JSON.parse(stdout);
  if (url) appendFileSync(env.GITHUB_OUTPUT, `url=${url}\n`);
  const changes = told.match(/^\| changes \| (.*) \|$/m)?.[1] ?? "nothing changed";
  // The list of pages, as the summary of the job has it: already safe to show. A comment holds 65,536 characters.
  const list = told.match(/<details>[^]*<\/details>/)?.[0] ?? "";
  const address = url ?? "It has no address: set `domain` in `[channels]` of the site manifest.";
  const text = `**Preview of ${head.slice(0, 7)}**: ${address}\n\nBeside the live site: ${changes}`;
  await comment(number, list.length < 60_000 ? `${text}\n\n${list}` : text);
  return 0;
}

async function remove(channel, number) {
  const { code, stdout } = await tool(["channels", "remove", channel, "--json"], { quiet: true });
  // Its publish may have been refused, or it has expired.
  const isGone = code === 0 || JSON.parse(stdout || "{}").error?.code === "no-such-channel";
  if (isGone) await comment(number, "The preview of this pull request was removed.", true);
  return isGone ? 0 : code;
}

async function run() {
  const event = JSON.parse(readFileSync(env.GITHUB_EVENT_PATH, "utf8"));
  const number = Number(event.pull_request?.number);
  const channel = `${env.CHANNEL}${number}`;
  switch (wanted(env.GITHUB_EVENT_NAME, event)) {
    case "publish":
      return (await tool(["publish", "--wait", env.WAIT])).code;
    case "check":
      return (await tool(["check"])).code;
    case "preview":
      return preview(channel, number, event.pull_request.head.sha);
    case "remove":
      return remove(channel, number);
    default:
      return 0;
  }
}

try {
  process.exitCode = process.argv[2] === "install" ? (await install(), 0) : await run();
} catch (error) {
  tell("error", error instanceof Failure ? error.message : `${error.stack}`);
  process.exitCode = 1;
}
