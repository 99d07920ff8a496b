// Tabs that stay open while releases come and go.

import { bare, follow, linksTo, look, mark, marked, some } from './look.mjs';
import { pressAll } from './press.mjs';
import { search } from './search.mjs';
import { Watched } from './watch.mjs';

// So low that few links come into view, and Next prefetches few pages before they are asked for.
const VIEW = { width: 1280, height: 120 };

const tabs = new Map();

// `order`: {tab, url}. Opens a tab of this name, as a reader who was never here, and waits until it
// is at rest.
export async function open(browsers, settings, { tab, url }) {
  const context = await browsers.fresh(VIEW);
  const watched = await Watched.open(context, settings);
  const entry = { context, watched, had: new Set() };
  tabs.set(tab, entry);
  const opened = await report(watched, tab, async () => ({ status: await watched.go(url) }));
  for (const { path } of opened.requests) entry.had.add(bare(path.split('?')[0]));
  return opened;
}

// `order`: {tab, paths, clicks, turn}: follows links to pages of `paths`, one after the other, and
// reports each where it led and whether the tab kept its document. A page that the tab has asked for
// nothing of when it was opened comes first; `turn` chooses among such.
export function wander({ tab, paths, clicks, turn }) {
  const { watched, had } = tabs.get(tab);
  return report(watched, tab, async () => {
    const went = [];
    for (let click = 0; click < clicks; click += 1) {
      const links = await linksTo(watched, paths);
      const others = links.filter(({ path }) => !had.has(bare(path)));
      const [link] = some(others.length > 0 ? others : links, turn + 5 * click, 1);
      if (!link) throw new Error('no link to another page');
      await mark(watched);
      await follow(watched, link);
      const isNew = others.length > 0;
      went.push({ to: link.path, isNew, soft: await marked(watched), seen: await look(watched) });
    }
    return { went };
  });
}

// `order`: {tab}: presses every button.
export function press({ tab }) {
  const { watched } = tabs.get(tab);
  return report(watched, tab, async () => ({ presses: await pressAll(watched) }));
}

// `order`: {tab, word}.
export function find({ tab, word }) {
  const { watched } = tabs.get(tab);
  return report(watched, tab, async () => ({ found: await search(watched, word) }));
}

export async function close({ tab }) {
  const { context } = tabs.get(tab);
  tabs.delete(tab);
  await context.close();
  return null;
}

// What the work found, and how the tab is after it. What is thrown is a problem like any other.
async function report(watched, tab, work) {
  const facts = { status: null, went: [], presses: [], found: null, seen: null };
  try {
    Object.assign(facts, await work());
    facts.seen = await look(watched);
  } catch (error) {
    watched.problems.push(`gave up: ${error.message}`);
  }
  const problems = watched.blamed();
  const picture = problems.length > 0 ? await watched.picture(`tab-${tab}`) : null;
  return { ...facts, requests: watched.taken(), problems, picture };
}
