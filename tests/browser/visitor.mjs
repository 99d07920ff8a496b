// A visitor who comes back: the profile, and with it the cache, outlives the browser.

import { look } from './look.mjs';
import { Watched } from './watch.mjs';

// `order`: {profile, base, paths}. Starts a browser over the profile, loads the pages one after the
// other, and ends it. Returns every request with what it cost.
export async function visit(browsers, settings, { profile, base, paths }) {
  const context = await browsers.returning(profile);
  try {
    const watched = await Watched.open(context, settings);
    const pages = [];
    for (const path of paths) {
      await watched.go(new URL(path, base).href);
      const seen = await look(watched);
      pages.push({ path, seen, requests: watched.taken(), problems: watched.blamed() });
    }
    return { pages };
  } finally {
    await context.close();
  }
}
