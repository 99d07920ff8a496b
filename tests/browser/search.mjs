// A search as a reader does it: type a word, wait for results, take the first.

import { look } from './look.mjs';

const FIELD = 'input[type="search"], [role="search"] input, input[role="combobox"]';

// A result: an option of a list that the field opens, or a link in it.
const RESULT = '[role="option"], [role="listbox"] a[href], [role="search"] a[href]';

// Searches for the word on the page that is open. Returns what was found.
export async function search(watched, word) {
  const { page } = watched;
  const field = page.locator(FIELD).filter({ visible: true }).first();
  await field.click();
  await field.fill(word);
  const results = page.locator(RESULT).filter({ visible: true });
  const found = await results
    .first()
    .waitFor()
    .then(
      () => true,
      () => false,
    );
  if (!found) {
    watched.problems.push(`search for ${word}: no result`);
    return { word, results: 0, texts: [] };
  }
  await watched.rest();
  const texts = await results.allInnerTexts();
  const before = page.url();
  await results.first().click();
  await page.waitForURL((url) => url.href !== before).catch(() => {
    watched.problems.push(`search for ${word}: the first result leads nowhere`);
  });
  await watched.rest();
  const { path, title, heading } = await look(watched);
  return { word, results: texts.length, texts, first: { path, title, heading } };
}
