// Tabs that no one touches while the preview changes under them, and the preview's own pages.
//
// A tab is never "at rest": it waits for what the preview tells. So what is waited for is always said.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const VIEW = { width: 1280, height: 900 };
const PATIENCE = 30_000;

const tabs = new Map();

// `order`: {tab, url}. Opens a tab and waits until it hears from the preview.
export async function watch(browsers, { tab, url }) {
  const context = await browsers.fresh(VIEW);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const entry = { context, page, origins: new Set(), problems: [] };
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http')) entry.origins.add(origin);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') entry.problems.push(message.text());
  });
  page.on('pageerror', (error) => entry.problems.push(error.message));
  tabs.set(tab, entry);
  const heard = page.waitForResponse((response) => response.url().endsWith('/__syntax/events'));
  await page.goto(url, { waitUntil: 'load' });
  await heard;
  return null;
}

// Runs before a page's own scripts: no link is in view before `__inView` is called, so Next.js prefetches nothing.
function nothingInView() {
  const waiting = [];
  window.IntersectionObserver = class {
    constructor(call) {
      this.call = call;
    }
    observe(target) {
      waiting.push(() => this.call([{ target, isIntersecting: true, intersectionRatio: 1 }], this));
    }
    unobserve() {}
    disconnect() {}
  };
  window.__inView = () => waiting.splice(0).forEach((call) => call());
}

// `order`: {tab, url}. Opens a tab of any server in which no link is in view, and waits until React has taken over.
export async function load(browsers, { tab, url }) {
  const context = await browsers.fresh(VIEW);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.addInitScript(nothingInView);
  tabs.set(tab, { context, page, origins: new Set(), problems: [] });
  await page.goto(url, { waitUntil: 'load' });
  return until({
    tab,
    script: "Object.keys(document.querySelector('a')).some((key) => key.startsWith('__reactFiber$'))",
  });
}

// `order`: {tab}. Brings the links of such a tab into view, and waits until Next.js has prefetched.
export async function prefetch({ tab }) {
  const { page } = tabs.get(tab);
  // Not every request that a page drops is told to have ended, so a while without news has to do.
  let news = performance.now();
  for (const what of ['request', 'requestfinished', 'requestfailed']) page.on(what, () => (news = performance.now()));
  const asked = page.waitForRequest(() => true);
  await page.evaluate(() => window.__inView());
  await asked;
  while (performance.now() < news + 300) await new Promise((done) => setTimeout(done, 20));
  return null;
}

// `order`: {tab, script}. Runs an expression in the page; its value.
export async function evaluate({ tab, script }) {
  return (await tabs.get(tab).page.evaluate(script)) ?? null;
}

// `order`: {tab, script}. Waits until an expression is true, in whatever document the tab has by then.
export async function until({ tab, script }) {
  const { page } = tabs.get(tab);
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    // A document that goes away takes the question with it.
    const is = await page.evaluate(script).catch(() => false);
    if (is) return null;
    if (performance.now() > deadline) {
      const text = await page.evaluate('document.documentElement.outerHTML').catch(() => '');
      throw new Error(`never came true: ${script}\n${tabs.get(tab).problems.join('\n')}\n${text.slice(-3000)}`);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}

// `order`: {tab, key}. Presses a key.
export async function key({ tab, key: name }) {
  await tabs.get(tab).page.keyboard.press(name);
  return null;
}

// `order`: {tab, selector}. Clicks what it names, in shadow roots, too.
export async function click({ tab, selector }) {
  await tabs.get(tab).page.click(selector);
  return null;
}

// `order`: {tab}. What went wrong in it, and whom it asked.
export async function told({ tab }) {
  const { problems, origins } = tabs.get(tab);
  return { problems, origins: [...origins] };
}

// `order`: {tab, scheme, within}. What axe-core finds in the page, in a colour scheme.
export async function axe({ tab, scheme, within }) {
  const { page } = tabs.get(tab);
  await page.emulateMedia({ colorScheme: scheme });
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source);
  const { violations, passes } = await page.evaluate((context) => window.axe.run(context ?? document), within ?? null);
  const found = violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`),
  );
  return { violations: found, passes: passes.length };
}

// `order`: {tab, file, scheme}. A picture of what is in view.
export async function picture({ tab, file, scheme }) {
  const { page } = tabs.get(tab);
  await page.emulateMedia({ colorScheme: scheme });
  await page.screenshot({ path: file });
  return null;
}

export async function leave({ tab }) {
  const { context } = tabs.get(tab);
  tabs.delete(tab);
  await context.close();
  return null;
}
