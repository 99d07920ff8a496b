// Packs the npm packages: one with each given binary, and `syntax-publish`, which starts the right one.
//
//     node packaging/npm/pack.mjs OUT linux-x64=path/to/binary darwin-arm64=path/to/binary …
//
// It writes the tarballs to the folder OUT and prints their paths, the order in which they are to be published. The version is
// that of Cargo.toml, and the schema of the site manifest is printed by the binary for this machine, if it is given. Of the repository it knows what GitHub Actions says, which `npm publish --provenance` compares.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const platforms = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];

const [out, ...given] = process.argv.slice(2);
const binaries = given.map((text) => text.split("="));
if (!out || binaries.length === 0 || !binaries.every(([name, path]) => platforms.includes(name) && path)) {
  console.error(`usage: pack.mjs OUT PLATFORM=BINARY…\nplatforms: ${platforms.join(", ")}`);
  process.exit(2);
}

const cargo = readFileSync(join(root, "Cargo.toml"), "utf8");
const field = (name) => cargo.match(new RegExp(`^${name} = "(.*)"$`, "m"))[1];
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = process.env;

const common = {
  version: field("version"),
  description: field("description"),
  license: field("license"),
  ...(repository && { repository: { type: "git", url: `git+${server}/${repository}.git` } }),
};

const staging = mkdtempSync(join(tmpdir(), "syntax-publish-npm-"));
mkdirSync(out, { recursive: true });

/** Packs a folder that has `files`, as [name, source, mode], and these fields in its package.json. */
function pack(folder, fields, files) {
  for (const [name, source, mode] of [...files, ["LICENSE-MIT"], ["LICENSE-APACHE"]]) {
    const to = join(staging, folder, name);
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(source ?? join(root, name), to);
    chmodSync(to, mode ?? 0o644);
  }
  writeFileSync(join(staging, folder, "package.json"), `${JSON.stringify({ ...common, ...fields }, null, 2)}\n`);
  const options = ["pack", "--json", "--ignore-scripts", "--pack-destination", out, join(staging, folder)];
  // An array up to npm 11, an object of names after that.
  const [{ filename }] = Object.values(JSON.parse(execFileSync("npm", options, { encoding: "utf8" })));
  console.log(join(out, filename));
}

try {
  for (const [platform, binary] of binaries) {
    const [os, cpu] = platform.split("-");
    const fields = { name: `@syntax-publish/${platform}`, os: [os], cpu: [cpu], files: ["bin"] };
    // A package manager that keeps packages zipped can't start what is in one.
    const unpacked = { preferUnplugged: true };
    pack(platform, { ...fields, ...unpacked }, [["bin/syntax-publish", binary, 0o755]]);
  }
  const files = [["syntax-publish.js", join(here, "syntax-publish.js"), 0o755], ["README.md"]];
  const own = `${process.platform}-${process.arch}`;
  if (binaries.some(([platform]) => platform === own)) {
    const schema = join(staging, "schema.json");
    // The copy, because a binary that was downloaded may not be executable.
    writeFileSync(schema, execFileSync(join(staging, own, "bin/syntax-publish"), ["schema"]));
    files.push(["schema.json", schema]);
  } else {
    console.error(`without schema.json: there is no binary for ${own} to print it`);
  }
  const packages = binaries.map(([platform]) => [`@syntax-publish/${platform}`, common.version]);
  const launcher = {
    name: "syntax-publish",
    keywords: ["deploy", "nextjs", "static-site", "sftp", "nginx"],
    bin: { "syntax-publish": "syntax-publish.js" },
    engines: { node: ">=18" },
    optionalDependencies: Object.fromEntries(packages),
  };
  pack("launcher", launcher, files);
} finally {
  rmSync(staging, { recursive: true });
}
