// Buttons, and the code that a page asks for only when one is pressed.

// How many buttons of a page are pressed: those that say different things, in the page's order.
const MOST = 6;

// Runs in the page.
function says(button) {
  // An id that React gave depends on who drew the button, the build or the browser.
  const id = /_r_|_R_/.test(button.id) ? '' : button.id;
  return [id, button.title, button.getAttribute('aria-label'), button.textContent.trim()]
    .filter(Boolean)
    .join(' ');
}

// Runs in the page: what its buttons say.
const SAYINGS = `(() => {
  ${says}
  return [...document.querySelectorAll('button:not([disabled])')].map(says);
})()`;

const press = (saying) => `(() => {
  ${says}
  const buttons = [...document.querySelectorAll('button:not([disabled])')];
  const button = buttons.find((button) => says(button) === ${JSON.stringify(saying)});
  button?.click();
  return Boolean(button);
})()`;

export async function buttons(watched) {
  const sayings = await watched.page.evaluate(SAYINGS);
  return [...new Set(sayings)].slice(0, MOST);
}

// Presses the button that says so. Returns the code and styles that were asked for, or undefined
// where there is no such button any more.
export async function pressed(watched, saying) {
  const before = watched.requests.length;
  if (!(await watched.page.evaluate(press(saying)))) return undefined;
  await watched.rest();
  return watched.requests
    .slice(before)
    .filter(({ kind }) => kind === 'Script' || kind === 'Stylesheet')
    .map(({ path }) => path);
}

// Presses every button of a page that was just loaded. Returns what each asked for.
export async function pressAll(watched) {
  const home = watched.page.url();
  const report = [];
  for (const button of await buttons(watched)) {
    const asked = await pressed(watched, button);
    if (asked) report.push({ button, asked });
    if (watched.page.url() !== home) await watched.go(home);
  }
  return report;
}
