// Writes `content/` and `public/`, which Nextra renders, from the documents of the repository. The documents stay as
// they are: only links change, from files of the repository to addresses of the site. A link that leads to neither a
// page nor a file fails the build, and so does a document that has no place in the site.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { visit } from 'unist-util-visit';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const program = process.env.SYNTAX_PUBLISH ?? join(root, 'target/debug/syntax-publish');

// The address of each page, its title in the sidebar, and its document.
const pages = {
  index: ['Overview', 'docs/README.md'],
  tutorial: ['Tutorial', 'docs/tutorial.md'],
  guides: 'How-to guides',
  'guides/host-setup': ['Set up a host', 'docs/host-setup.md'],
  'guides/several-sites': ['Several sites on one host', 'docs/guides/several-sites.md'],
  'guides/cloudflare': ['Cloudflare in front', 'docs/guides/cloudflare.md'],
  'guides/ci': ['Publish from CI', 'docs/ci.md'],
  'guides/previews': ['Previews for pull requests', 'docs/guides/previews.md'],
  'guides/from-rsync': ['Move from rsync', 'docs/guides/from-rsync.md'],
  'guides/from-vercel': ['Move from Vercel', 'docs/guides/from-vercel.md'],
  'guides/from-netlify': ['Move from Netlify', 'docs/guides/from-netlify.md'],
  reference: 'Reference',
  'reference/manual': ['Commands and configuration', 'docs/reference.md'],
  'reference/help': ['Help of each command', 'docs/reference/help.md'],
  explanation: 'Explanation',
  'explanation/protocol': ['Protocol', 'docs/protocol.md'],
  'explanation/security': ['Security', 'docs/security.md'],
  'explanation/store-format': ['Store format', 'docs/store-format.md'],
  'explanation/performance': ['Performance', 'docs/performance.md'],
  'explanation/benchmarks': ['Benchmarks', 'docs/benchmarks.md'],
  project: 'Project',
  'project/readme': ['README', 'README.md'],
  'project/changelog': ['Changelog', 'CHANGELOG.md'],
  'project/contributing': ['Contributing', 'CONTRIBUTING.md'],
  'project/design': ['Design', 'DESIGN.md'],
  'project/reporting': ['Report a hole', 'SECURITY.md'],
  // Files that the documents link to and that are no documents: shown as code, and not in the sidebar.
  'project/publish-workflow': [null, '.github/workflows/publish.yml'],
  'project/action': [null, '.github/actions/publish/action.yml'],
  'project/licence-mit': [null, 'LICENSE-MIT'],
  'project/licence-apache': [null, 'LICENSE-APACHE'],
};

const addresses = new Map();
for (const [address, page] of Object.entries(pages)) {
  if (Array.isArray(page)) addresses.set(page[1], address === 'index' ? '/' : `/${address}`);
}

for (const folder of ['content', 'public']) rmSync(folder, { recursive: true, force: true });
mkdirSync('public');
for (const file of readdirSync(join(root, 'docs'), { recursive: true })) {
  const document = `docs/${file}`;
  if (file.endsWith('.md') && !file.startsWith('site/') && !addresses.has(document)) {
    throw new Error(`${document} has no place in the site: name it in docs/site/scripts/content.mjs`);
  }
}
for (const [address, page] of Object.entries(pages)) {
  if (Array.isArray(page)) write(`content/${address}.md`, text(page[1]));
}
navigation('');

function write(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function text(document) {
  if (document === 'docs/reference/help.md') return help();
  const text = readFileSync(join(root, document), 'utf8');
  if (document.endsWith('.md')) return linked(document, text);
  const language = document.endsWith('.yml') ? 'yaml' : 'text';
  return `# ${basename(document)}\n\n\`\`\`\`${language}\n${text.trimEnd()}\n\`\`\`\`\n`;
}

// A document, with the links of the site.
function linked(document, text) {
  const edits = [];
  visit(fromMarkdown(text), ['link', 'image', 'definition'], (node) => {
    if (/^([a-z]+:|#)/.test(node.url)) return;
    const [path, anchor] = node.url.split('#');
    const to = address(document, normalize(join(dirname(document), path)));
    const { start, end } = node.position;
    const source = text.slice(start.offset, end.offset);
    const begin = start.offset + source.lastIndexOf(node.url);
    edits.push([begin, begin + node.url.length, anchor ? `${to}#${anchor}` : to]);
  });
  for (const [begin, end, url] of edits.sort((a, b) => b[0] - a[0])) {
    text = text.slice(0, begin) + url + text.slice(end);
  }
  return text;
}

// Where a file of the repository is in the site.
function address(document, file) {
  if (addresses.has(file)) return addresses.get(file);
  if (/\.(png|svg)$/.test(file) && existsSync(join(root, file))) {
    writeFileSync(`public/${basename(file)}`, readFileSync(join(root, file)));
    return `/${basename(file)}`;
  }
  throw new Error(`${document} links to ${file}, which has no place in the site`);
}

// What the program says of itself.
function help() {
  if (!existsSync(program)) {
    throw new Error(`${program} is missing: build it (cargo build), or name another in SYNTAX_PUBLISH`);
  }
  // As wide as a page.
  const env = { ...process.env, COLUMNS: '76' };
  const run = (...args) => execFileSync(program, args, { encoding: 'utf8', env }).trimEnd();
  const main = run('help');
  const [, listed] = main.match(/\nCommands:\n(.*?)\n\n/s);
  const commands = [...listed.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name).filter((name) => name !== 'help');
  const part = (title, text) => `## ${title}\n\n\`\`\`text\n${text}\n\`\`\`\n`;
  return [
    '# Help of each command\n',
    'As `syntax-publish help COMMAND` prints it. More about each, with JSON and exit codes, is in the',
    `[reference](${addresses.get('docs/reference.md')}).\n`,
    part('syntax-publish', main),
    ...commands.map((name) => part(name, run('help', name).split('\n\nGlobal options:')[0] + examples(run('help', name)))),
  ].join('\n');
}

// The examples of a help text. The global options, which are the same for all, stand at the top of the page alone.
function examples(help) {
  const begin = help.indexOf('\n\nExamples:');
  return begin < 0 ? '' : help.slice(begin);
}

// The order and the titles of a folder's pages, as Nextra reads them.
function navigation(folder) {
  const inside = Object.entries(pages).filter(([address]) => dirname(address) === (folder || '.'));
  const shown = (page) => (Array.isArray(page) ? (page[0] ?? { display: 'hidden' }) : page);
  const titles = inside.map(([address, page]) => [basename(address), shown(page)]);
  write(join('content', folder, '_meta.js'), `export default ${JSON.stringify(Object.fromEntries(titles), null, 2)};\n`);
  for (const [address, page] of inside) if (!Array.isArray(page)) navigation(address);
}
