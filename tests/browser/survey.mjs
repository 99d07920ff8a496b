// Every page of one site: loaded by someone who was never here, loaded again, its links clicked, its
// buttons pressed; then a page that is not there, and the search.

import { arrive, bare, follow, linksTo, look, mark, marked, sampleOfLinks } from './look.mjs';
import { pressAll } from './press.mjs';
import { search } from './search.mjs';
import { Watched } from './watch.mjs';

// Links that are followed from one page.
const LINKS = 3;

// What the browser says on the console of a page whose own status is 404.
const NOT_FOUND = 'Failed to load resource: the server responded with a status of 404 (Not Found)';

// `order`: {name, base, pages: [{file, path, follow}], missing, search, depth}. `base` is the server;
// paths begin at its root. By depth:
//
// - `thorough`: each page by a reader of its own, loaded twice, and a sample of its links followed;
// - `glance`: some readers go from page to page, and follow only the links that `follow` names.
export async function survey(browsers, settings, order) {
  const begun = performance.now();
  const seconds = () => (performance.now() - begun) / 1000;
  const readers = new Readers(browsers, settings, order.depth === 'thorough');
  const known = order.pages.map(({ path }) => path);
  const pages = order.pages.map((entry, turn) => async () => {
    const report = { ...entry, problems: [], seconds: {}, requests: [], links: [], presses: [] };
    await readers.read(`${order.name}-${entry.file}`, report, (watched) =>
      readPage(watched, report, { order, known, turn }),
    );
    return report;
  });
  const read = await pooled(pages, settings.jobs);
  compareArrivals(read);
  const [missing, found] = await pooled([() => readMissing(readers, order), () => trySearch(readers, order)], 2);
  await readers.close();
  return { pages: read, missing, search: found, seconds: seconds() };
}

async function readPage(watched, report, { order, known, turn }) {
  const part = async (name, work) => {
    const begun = performance.now();
    await work();
    report.seconds[name] = (performance.now() - begun) / 1000;
    report.problems.push(...watched.blamed().map((problem) => `${name}: ${problem}`));
  };
  const thorough = order.depth === 'thorough';
  await part('load', async () => {
    report.status = await watched.go(new URL(report.path, order.base).href);
    report.seen = await look(watched);
    report.requests = watched.taken();
  });
  if (thorough) {
    await part('reload', async () => {
      await watched.reload();
      report.again = await look(watched);
    });
  }
  await part('links', async () => {
    const links = thorough
      ? await sampleOfLinks(watched, known, turn, LINKS)
      : await linksTo(watched, report.follow ?? []);
    for (const link of links) report.links.push(await thereAndBack(watched, link));
  });
  await part('buttons', async () => {
    report.presses = await pressAll(watched);
  });
}

// Follows a link and goes back, and shows what each was like.
async function thereAndBack(watched, link) {
  const home = new URL(watched.page.url());
  await mark(watched);
  await follow(watched, link);
  const soft = await marked(watched);
  const there = await look(watched);
  await watched.page.goBack({ waitUntil: 'commit' });
  await arrive(watched, home.pathname, home.hash);
  const softBack = await marked(watched);
  const back = await look(watched);
  return { to: link.path, hash: link.hash, soft: soft && softBack, there, back };
}

// A page that was reached by a link, or back, is the page that a fresh load shows.
function compareArrivals(pages) {
  const fresh = new Map(pages.filter(({ seen }) => seen).map(({ seen }) => [bare(seen.path), seen]));
  for (const { seen, again, links, problems } of pages) {
    const compare = (what, expected, found) => {
      const different = differences(expected, found).map((difference) => `${what}: ${difference}`);
      problems.push(...different);
    };
    if (again) compare('reload', seen, again);
    for (const { to, hash, there, back } of links) {
      const target = fresh.get(bare(there.path));
      if (target) compare(`links: ${to}${hash}`, { ...target, hash }, there);
      compare(`links: back from ${to}`, seen, back);
    }
  }
}

// What differs in what a reader sees.
function differences(expected, found) {
  return ['path', 'hash', 'title', 'heading', 'code', 'text']
    .filter((key) => JSON.stringify(expected[key]) !== JSON.stringify(found[key]))
    .map((key) => `${key} is ${clipped(found[key])}, and ${clipped(expected[key])} by a fresh load`);
}

function clipped(value) {
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

async function readMissing(readers, order) {
  const report = { path: order.missing, problems: [] };
  await readers.read(`${order.name}-missing`, report, async (watched) => {
    watched.tolerated = NOT_FOUND;
    report.status = await watched.go(new URL(order.missing, order.base).href);
    report.seen = await look(watched);
    watched.tolerated = undefined;
  });
  return report;
}

async function trySearch(readers, order) {
  if (!order.search) return null;
  const report = { problems: [] };
  await readers.read(`${order.name}-search`, report, async (watched) => {
    await watched.go(new URL(order.pages[0].path, order.base).href);
    Object.assign(report, await search(watched, order.search));
  });
  return report;
}

// Who reads the pages: someone new for each, or a few who remember what they have seen.
class Readers {
  #browsers;
  #settings;
  #fresh;
  #idle = [];

  constructor(browsers, settings, fresh) {
    this.#browsers = browsers;
    this.#settings = settings;
    this.#fresh = fresh;
  }

  // Does the work with a page under watch. What is thrown is a problem like any other.
  async read(name, report, work) {
    const context = this.#idle.pop() ?? (await this.#browsers.fresh());
    const watched = await Watched.open(context, this.#settings);
    try {
      await work(watched);
    } catch (error) {
      watched.problems.push(`gave up: ${error.message}`);
    }
    report.problems.push(...watched.blamed());
    if (report.problems.length > 0) report.picture = await watched.picture(name);
    if (this.#fresh) {
      await context.close();
    } else {
      await watched.page.close();
      this.#idle.push(context);
    }
  }

  async close() {
    for (const context of this.#idle.splice(0)) await context.close();
  }
}

// Runs the jobs, some at a time; the results in the order of the jobs.
async function pooled(jobs, most) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const mine = next;
      next += 1;
      results[mine] = await jobs[mine]();
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}
