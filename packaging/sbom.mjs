// Prints a CycloneDX list of the crates that are built into the binary on the systems of releases, from `cargo metadata`.
// It has no time and no random number, so that it is the same each time.
//
//     node packaging/sbom.mjs FOLDER

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const systems = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "aarch64-apple-darwin"];
const platforms = systems.flatMap((system) => ["--filter-platform", system]);
const options = ["metadata", "--format-version=1", "--locked", ...platforms];
const metadata = JSON.parse(execFileSync("cargo", options, { cwd: folder, encoding: "utf8", maxBuffer: 1 << 28 }));

const packages = new Map(metadata.packages.map((each) => [each.id, each]));
const nodes = new Map(metadata.resolve.nodes.map((each) => [each.id, each]));
// What the tests alone need is not in the binary.
const needed = (id) => nodes.get(id).deps.filter((dep) => dep.dep_kinds.some(({ kind }) => kind !== "dev")).map((dep) => dep.pkg);

const root = metadata.resolve.root;
const seen = new Set([root]);
for (const id of seen) {
  for (const dep of needed(id)) seen.add(dep);
}

const checksums = new Map();
for (const block of readFileSync(join(folder, "Cargo.lock"), "utf8").split("[[package]]")) {
  const field = (name) => block.match(new RegExp(`^${name} = "(.*)"$`, "m"))?.[1];
  if (field("checksum")) checksums.set(`${field("name")} ${field("version")}`, field("checksum"));
}

const ref = (id) => `pkg:cargo/${packages.get(id).name}@${packages.get(id).version}`;
const component = (id) => {
  const { name, version, license } = packages.get(id);
  const checksum = checksums.get(`${name} ${version}`);
  return {
    type: id === root ? "application" : "library",
    "bom-ref": ref(id),
    name,
    version,
    ...(checksum && { hashes: [{ alg: "SHA-256", content: checksum }] }),
    // Old crates write "MIT/Apache-2.0".
    ...(license && { licenses: [{ expression: license.replaceAll("/", " OR ") }] }),
    purl: ref(id),
  };
};
const ids = [...seen].sort((a, b) => (ref(a) < ref(b) ? -1 : 1));
const bom = {
  $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.5",
  version: 1,
  metadata: { component: component(root) },
  components: ids.filter((id) => id !== root).map(component),
  dependencies: ids.map((id) => ({ ref: ref(id), dependsOn: [...new Set(needed(id).map(ref))].sort() })),
};
console.log(JSON.stringify(bom, null, 2));
