// What a reader of a page sees, and where its links lead.

// Runs in the page. Pictures that wait for the reader to scroll are asked for.
async function see() {
  for (const image of document.images) image.loading = 'eager';
  const images = await Promise.all(
    [...document.images]
      .filter((image) => image.getAttribute('src') || image.getAttribute('srcset'))
      .map(async (image) => {
        const decoded = await image.decode().then(
          () => true,
          () => false,
        );
        const { currentSrc, naturalWidth: width, naturalHeight: height } = image;
        return { path: new URL(currentSrc || image.src).pathname, width, height, decoded };
      }),
  );
  await document.fonts.ready;
  // Fonts that the site brings along: one that only names a font of the reader's system may fail.
  const named = (family) => family.replaceAll(/["']/g, '').toLowerCase();
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const brought = new Set(
    rules
      .filter((rule) => rule instanceof CSSFontFaceRule && rule.style.getPropertyValue('src').includes('url('))
      .map((rule) => named(rule.style.getPropertyValue('font-family'))),
  );
  const fonts = [...document.fonts]
    .filter(({ family, status }) => brought.has(named(family)) && status !== 'unloaded')
    .map(({ family, weight, style, status }) => ({ font: `${named(family)} ${weight} ${style}`, status }));
  // What the Pages Router tells those who can't see that the page is another one. It is no part of the page.
  const announcer = document.getElementById('__next-route-announcer__');
  if (announcer) announcer.style.display = 'none';
  const text = document.body.innerText;
  if (announcer) announcer.style.display = '';
  return {
    path: location.pathname,
    hash: location.hash,
    title: document.title,
    heading: document.querySelector('h1')?.textContent ?? null,
    text,
    code: [...document.querySelectorAll('pre, code')].map((element) => element.textContent),
    images,
    fonts: fonts.sort((a, b) => (a.font < b.font ? -1 : 1)),
  };
}

// Looks at a page at rest, and blames it for what a reader would miss.
export async function look(watched) {
  const seen = await watched.page.evaluate(see);
  // Pictures that had waited are asked for now.
  await watched.rest();
  for (const { path, width, decoded } of seen.images) {
    if (!decoded || width === 0) watched.problems.push(`picture does not decode: ${path}`);
  }
  for (const { font, status } of seen.fonts) {
    if (status !== 'loaded') watched.problems.push(`font is ${status}: ${font}`);
  }
  return seen;
}

// Runs in the page: the links within this site that a reader can click, each page once.
function visibleLinks() {
  const links = new Map();
  for (const [index, link] of [...document.querySelectorAll('a[href]')].entries()) {
    const url = new URL(link.href);
    const elsewhere = url.origin !== location.origin || link.target || link.hasAttribute('download');
    const shown = link.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && link.offsetWidth > 0;
    if (elsewhere || !shown || url.pathname === location.pathname || links.has(url.pathname)) continue;
    links.set(url.pathname, { index, path: url.pathname, hash: url.hash });
  }
  return [...links.values()];
}

// The page's links to pages of `paths`.
export async function linksTo(watched, paths) {
  const wanted = new Set(paths.map(bare));
  return (await watched.page.evaluate(visibleLinks)).filter((link) => wanted.has(bare(link.path)));
}

// Some of the page's links to pages of `paths`, as `some` takes them.
export async function sampleOfLinks(watched, paths, turn, most) {
  return some(await linksTo(watched, paths), turn, most);
}

// At most `most` of them, spread, and begun elsewhere by each `turn`, so that pages with the same menu
// don't all click its first entries.
export function some(links, turn, most) {
  const count = Math.min(most, links.length);
  const stride = Math.max(1, Math.floor(links.length / Math.max(1, count)));
  return Array.from({ length: count }, (_, i) => links[(turn + i * stride) % links.length]);
}

// A path as pages are compared by: decoded, without the slash at the end.
export function bare(path) {
  return decodeURI(path).replace(/(.)\/$/, '$1');
}

// Clicks the link, as a reader does, and waits until its page is there and at rest.
export async function follow(watched, link) {
  const links = await watched.page.$$('a[href]');
  const element = links[link.index];
  // In a low window something may lie over it; a reader takes the keyboard then.
  await element.click({ timeout: 3000 }).catch(() => element.press('Enter'));
  await arrive(watched, link.path, link.hash);
}

// Waits until the address is this one and the page at rest.
export async function arrive(watched, path, hash) {
  const there = await watched.page
    .waitForURL((url) => bare(url.pathname) === bare(path) && (hash === undefined || url.hash === hash), {
      waitUntil: 'load',
    })
    .then(
      () => true,
      () => false,
    );
  if (!there) watched.problems.push(`never got to ${path}${hash ?? ''}: still at ${watched.page.url()}`);
  await watched.rest();
}

// A mark on the document that a load of another document takes away.
export function mark(watched) {
  return watched.page.evaluate(() => {
    window.__marker = true;
  });
}

export function marked(watched) {
  return watched.page.evaluate(() => window.__marker === true);
}
