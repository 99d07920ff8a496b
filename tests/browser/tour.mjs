// A tour of a site: one page loaded, then elements clicked one after the other; after each, what the page shows and what it
// asked for. And a visit to a page that registers a service worker, which is then without its server.

import { Watched } from './watch.mjs';

// Runs in the page.
async function look() {
  const images = await Promise.all(
    [...document.images].map(async (image) => {
      const decoded = await image.decode().then(
        () => true,
        () => false,
      );
      const { id, currentSrc, naturalWidth, naturalHeight } = image;
      const { pathname, search } = new URL(currentSrc || image.src, location.href);
      return { id, url: `${pathname}${search}`, width: naturalWidth, height: naturalHeight, decoded };
    }),
  );
  const grounds = [...document.querySelectorAll('body, body *')]
    .map((element) => getComputedStyle(element).backgroundImage)
    .filter((image) => image.startsWith('url('))
    .map((image) => image.replace(location.origin, ''));
  const cards = [...document.querySelectorAll('meta[property^="og:"], meta[name^="twitter:"]')].map(
    (meta) => `${meta.getAttribute('property') ?? meta.name}=${meta.content}`,
  );
  // What Next.js tells those who can't see that the page is another one is no part of the page.
  const announced = document.querySelector('next-route-announcer, #__next-route-announcer__');
  const text = document.body.innerText.replace(announced?.innerText || '\0', '');
  return { path: location.pathname, title: document.title, text, images, grounds, cards: cards.sort() };
}

async function stop(watched) {
  const seen = await watched.page.evaluate(look);
  return { ...seen, requests: watched.taken(), problems: watched.blamed() };
}

// `order`: {url, clicks: [selector]}.
export async function tour(browsers, settings, { url, clicks }) {
  const context = await browsers.fresh();
  try {
    const watched = await Watched.open(context, settings);
    let documents = 0;
    watched.page.on('request', (request) => {
      if (request.isNavigationRequest() && request.frame() === watched.page.mainFrame()) documents += 1;
    });
    await watched.go(url);
    const stops = [await stop(watched)];
    for (const selector of clicks) {
      const before = watched.page.url();
      const leads = await watched.page.evaluate((selector) => document.querySelector(selector)?.href, selector);
      await watched.page.click(selector);
      if (leads && leads !== before) await watched.page.waitForURL(leads, { waitUntil: 'commit' });
      await watched.rest();
      stops.push(await stop(watched));
    }
    return { stops, documents };
  } finally {
    await context.close();
  }
}

// `order`: {url, paths}. Opens a page that registers a worker and says so, and loads `paths` without a network.
export async function offline(browsers, settings, { url, paths }) {
  const context = await browsers.fresh();
  try {
    const page = await context.newPage();
    await page.goto(url, { waitUntil: 'load' });
    const state = await page
      .waitForFunction(() => document.getElementById('worker').textContent !== 'waiting', null, { timeout: 30_000 })
      .then(() => page.textContent('#worker'))
      .catch(() => 'never ready');
    const worker = await page.evaluate(async () => {
      const active = (await navigator.serviceWorker.getRegistration())?.active;
      while (active?.state === 'activating') await new Promise((done) => active.addEventListener('statechange', done));
      return active?.state ?? 'none';
    });
    await context.setOffline(true);
    const stops = [];
    for (const path of paths) {
      const problem = await page.goto(new URL(path, url).href, { waitUntil: 'load' }).then(
        () => null,
        (error) => error.message,
      );
      stops.push({ path, problem, images: problem ? [] : (await page.evaluate(look)).images });
    }
    return { state, worker, stops };
  } finally {
    await context.close();
  }
}
