// What the tests do in a real browser: one browser, orders as lines of JSON on stdin, and for each
// order one line of JSON on stdout. It judges nothing but what is wrong anywhere (a console message,
// a failed request, a picture that does not decode); the caller compares and decides.
//
//   node drive.mjs '{"chromium": "/usr/bin/chromium", "artifacts": "/tmp/x", "jobs": 4}'
//
// An order is {"do": NAME, ...}; an answer {"ok": VALUE} or {"error": TEXT}. Closing stdin ends it.

import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Browsers } from './browsers.mjs';
import * as live from './live.mjs';
import { survey } from './survey.mjs';
import { close, find, open, press, wander } from './tabs.mjs';
import { offline, tour } from './tour.mjs';
import { visit } from './visitor.mjs';

const settings = JSON.parse(process.argv[2]);
const browsers = new Browsers(settings);
const orders = {
  // Every page of a site, looked at in every way.
  survey: (order) => survey(browsers, settings, order),
  // Tabs that stay open until they are closed.
  open: (order) => open(browsers, settings, order),
  wander,
  press,
  find,
  close,
  // Tabs that no one touches while the preview changes.
  watch: (order) => live.watch(browsers, order),
  load: (order) => live.load(browsers, order),
  prefetch: live.prefetch,
  evaluate: live.evaluate,
  until: live.until,
  key: live.key,
  click: live.click,
  told: live.told,
  axe: live.axe,
  picture: live.picture,
  leave: live.leave,
  // One page after the other, by the elements that are clicked.
  tour: (order) => tour(browsers, settings, order),
  // What a service worker shows without its server.
  offline: (order) => offline(browsers, settings, order),
  // A visit by someone whose cache stays.
  visit: (order) => visit(browsers, settings, order),
};

// What was asked and how long it took, for who wonders where a test is.
const file = join(settings.artifacts, 'orders.log');
writeFileSync(file, '');
const log = (text) => appendFileSync(file, `${text}\n`);

async function answer(line) {
  const order = JSON.parse(line);
  const begun = performance.now();
  log(`${order.do} ${order.tab ?? ''}`);
  const ok = await orders[order.do](order);
  log(`  ${((performance.now() - begun) / 1000).toFixed(1)} s ${(ok?.problems ?? []).join('\n  ')}`);
  return { ok };
}

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const said = await answer(line).catch((error) => ({ error: `${error.stack ?? error}` }));
    process.stdout.write(`${JSON.stringify(said)}\n`);
  }
} finally {
  await browsers.close();
}
