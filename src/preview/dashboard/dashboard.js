// The dashboard: what is served now, what is wrong with it, and what is on a target. It sends requests to this server
// only, and queries the target only when a button is pressed.

const $ = (id) => document.getElementById(id);

// A site of up to this many bytes is compressed automatically; above that, the user decides.
const MEASURED_AT_ONCE = 32 * 1024 * 1024;
// Number of files in one request for sizes.
const BATCH = 64;
// Maximum number of tiles in the treemap and of rows in a table, largest first.
const TILES = 250;
const ROWS = 500;

const KINDS = {
  page: 'pages',
  payload: 'payloads and data',
  script: 'scripts',
  style: 'style sheets',
  picture: 'pictures',
  font: 'fonts',
  media: 'sound and film',
  other: 'other files',
};

let site = { root: null, files: [], levels: {} };
let state = {};
// Known encoded sizes, by path: {br, gzip}; null if the file has no such encoding.
let encoded = new Map();
let measuring = false;
let chosen = '';

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const many = (number, thing) => `${number.toLocaleString('en')} ${thing}${number === 1 ? '' : 's'}`;

function bytes(number) {
  if (number === undefined) return '…';
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? number : number.toFixed(1)} ${units[unit]}`;
}

const seconds = (number) => (number < 1 ? `${Math.round(number * 1000)} ms` : `${number.toFixed(1)} s`);
// All times are shown in the reader's time zone.
const clock = (at) => {
  const when = new Date(at);
  const isToday = when.toDateString() === new Date().toDateString();
  return make('time', { datetime: when.toISOString() }, isToday ? when.toLocaleTimeString() : when.toLocaleString());
};

async function read(path) {
  const answer = await fetch(`/__syntax/${path}`);
  return answer.json();
}

async function ask(path, question) {
  const answer = await fetch(`/__syntax/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(question),
  });
  return answer.json();
}

// Fills a table with a header row. A column is [title, 'number' or nothing].
function fill(table, caption, columns, rows) {
  table.replaceChildren(
    make('caption', {}, caption),
    make('thead', {}, make('tr', {}, ...columns.map(([title, kind]) => make('th', { scope: 'col', class: kind }, title)))),
    make(
      'tbody',
      {},
      ...rows.map((row) => make('tr', {}, ...row.map((cell, at) => make('td', { class: columns[at][1], 'data-title': columns[at][0] }, cell)))),
    ),
  );
  return table;
}

// ---- sizes

// The size of a file as sent with an encoding, or its own size if it has none. Undefined if not known yet.
function size(file, measure) {
  if (measure === 'bytes' || (file.br === null && file.gzip === null)) return file.bytes;
  const known = encoded.get(file.path);
  return known && (known[measure] ?? file.bytes);
}

function sum(files, measure) {
  let total = 0;
  for (const file of files) {
    const known = size(file, measure);
    if (known === undefined) return undefined;
    total += known;
  }
  return total;
}

const classOf = (files) => {
  const classes = new Set(files.map((file) => file.class));
  return classes.size === 1 ? [...classes][0] : 'mixed';
};

// The items of the treemap: each has a name and files.
function things() {
  const view = $('view').value;
  const isPage = ({ kind }) => kind === 'page' || kind === 'payload';
  if (view === 'pages') {
    const pages = new Map(site.files.filter(({ kind }) => kind === 'page').map((file) => [file.path, [file]]));
    for (const file of site.files) if (file.page) pages.get(file.page)?.push(file);
    return [...pages].map(([name, files]) => ({ name, files }));
  }
  const files = view === 'assets' ? site.files.filter((file) => !isPage(file)) : site.files;
  return files.map((file) => ({ name: file.path, files: [file] }));
}

// Returns rectangles with areas proportional to the sizes, as square as possible (Bruls, Huizing, van Wijk). `items`
// must be sorted.
function squarified(items, box) {
  const out = [];
  const total = items.reduce((all, { value }) => all + value, 0);
  let { x, y, width, height } = box;
  const scale = (width * height) / (total || 1);
  let rest = items.map((item) => ({ ...item, area: item.value * scale })).filter(({ area }) => area > 0);
  const worst = (row, side) => {
    const area = row.reduce((all, item) => all + item.area, 0);
    const areas = row.map((item) => item.area);
    return Math.max((side ** 2 * Math.max(...areas)) / area ** 2, area ** 2 / (side ** 2 * Math.min(...areas)));
  };
  while (rest.length > 0) {
    const side = Math.min(width, height);
    let count = 1;
    while (count < rest.length && worst(rest.slice(0, count + 1), side) <= worst(rest.slice(0, count), side)) count += 1;
    const row = rest.slice(0, count);
    const thick = row.reduce((all, item) => all + item.area, 0) / (side || 1);
    let along = 0;
    for (const item of row) {
      const long = item.area / (thick || 1);
      out.push(
        width >= height
          ? { ...item, x, y: y + along, width: thick, height: long }
          : { ...item, x: x + along, y, width: long, height: thick },
      );
      along += long;
    }
    if (width >= height) {
      x += thick;
      width -= thick;
    } else {
      y += thick;
      height -= thick;
    }
    rest = rest.slice(count);
  }
  return out;
}

function drawSizes() {
  const measure = $('measure').value;
  const all = things()
    .map(({ name, files }) => ({ name, files, value: sum(files, measure) ?? sum(files, 'bytes') }))
    .sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
  const shown = all.slice(0, TILES);
  const others = all.slice(TILES);
  if (others.length > 0) {
    const files = others.flatMap((thing) => thing.files);
    const value = others.reduce((total, thing) => total + thing.value, 0);
    shown.push({ name: many(others.length, 'smaller one'), files, value, isRest: true });
    shown.sort((a, b) => b.value - a.value);
  }
  drawTreemap(shown, measure);
  const cell = (files, kind) => bytes(sum(files, kind));
  fill(
    $('files'),
    'Files, largest first',
    [['Path'], ['Cache'], ['Uncompressed', 'number'], ['gzip (preview)', 'number'], ['brotli (preview)', 'number']],
    all
      .slice(0, ROWS)
      .map(({ name, files }) => [
        make('code', {}, name),
        classOf(files),
        cell(files, 'bytes'),
        cell(files, 'gzip'),
        cell(files, 'br'),
      ]),
  );
  $('files-more').textContent = all.length > ROWS ? `and ${many(all.length - ROWS, 'smaller one')}` : '';
  const kinds = Object.entries(KINDS)
    .map(([kind, title]) => [title, site.files.filter((file) => file.kind === kind)])
    .filter(([, files]) => files.length > 0);
  kinds.push(['all', site.files]);
  fill(
    $('totals'),
    'What the site holds',
    [['What'], ['Files', 'number'], ['Uncompressed', 'number'], ['gzip (preview)', 'number'], ['brotli (preview)', 'number']],
    kinds.map(([title, files]) => [
      title,
      files.length.toLocaleString('en'),
      cell(files, 'bytes'),
      cell(files, 'gzip'),
      cell(files, 'br'),
    ]),
  );
}

function drawTreemap(items, measure) {
  const map = $('treemap');
  const had = map.contains(document.activeElement);
  const { width, height } = map.getBoundingClientRect();
  const tiles = squarified(items, { x: 0, y: 0, width, height });
  if (!tiles.some(({ name }) => name === chosen)) chosen = '';
  const current = chosen || tiles[0]?.name;
  const buttons = tiles.map((tile) => {
    // The label contains the visible text, for people who control the browser by voice.
    const label = `${tile.name} ${bytes(tile.value)}, ${classOf(tile.files)}`;
    const button = make('button', {
      type: 'button',
      class: classOf(tile.files),
      title: label,
      'aria-label': label,
      'aria-pressed': String(tile.name === chosen),
      tabindex: tile.name === current ? '0' : '-1',
      onclick: () => choose(tile, measure),
    });
    Object.assign(button.style, {
      left: `${tile.x}px`,
      top: `${tile.y}px`,
      width: `${tile.width}px`,
      height: `${tile.height}px`,
    });
    button.dataset.name = tile.name;
    const words = [tile.name.split('/').slice(-2).join('/'), bytes(tile.value)];
    const room = tile.width > 50 ? Math.floor((tile.height - 6) / 16) : 0;
    button.append(...words.slice(0, room).flatMap((word) => [make('span', {}, word), ' ']));
    return button;
  });
  map.replaceChildren(...buttons);
  if (had) buttons.find((button) => button.tabIndex === 0)?.focus();
}

// The treemap is one stop for the Tab key. The arrow keys move from tile to tile, by size.
$('treemap').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const buttons = [...event.currentTarget.children];
  const at = buttons.indexOf(document.activeElement);
  const to = { Home: 0, End: buttons.length - 1 }[event.key] ?? (step && at + step);
  if (to === undefined || at < 0 || !buttons[to]) return;
  event.preventDefault();
  buttons[at].tabIndex = -1;
  buttons[to].tabIndex = 0;
  buttons[to].focus();
});

async function choose(tile, measure) {
  chosen = tile.name;
  for (const button of $('treemap').children) {
    button.setAttribute('aria-pressed', String(button.dataset.name === chosen));
  }
  const file = tile.files[0];
  const cells = (files) => ['bytes', 'gzip', 'br'].map((kind) => bytes(sum(files, kind)));
  const [plain, gzip, br] = cells(tile.files);
  const parts = [
    make('h3', {}, tile.name),
    make('p', {}, `${plain} uncompressed, ${gzip} gzip, ${br} brotli; ${classOf(tile.files)}`),
  ];
  if (!tile.isRest && file.kind === 'page') {
    const { files } = await ask('api/page', { path: file.path });
    if (chosen !== tile.name) return;
    const named = site.files.filter(({ path }) => files.includes(path));
    const row = (file) => [make('code', {}, file.path), file.class, ...cells([file])];
    const table = fill(
      make('table'),
      `This page makes a browser fetch ${many(named.length, 'file')}, ${bytes(sum([file, ...named], measure))} in total`,
      [['Path'], ['Cache'], ['Uncompressed', 'number'], ['gzip (preview)', 'number'], ['brotli (preview)', 'number']],
      named.sort((a, b) => b.bytes - a.bytes).map(row),
    );
    parts.push(make('div', { class: 'scroll', role: 'region', 'aria-label': 'Files of the page', tabindex: '0' }, table));
  }
  $('detail').replaceChildren(...parts);
}

function noteSizes() {
  const { br, gzip } = site.levels;
  const own = new Set(site.files.flatMap((file) => [file.br]).filter((level) => typeof level === 'number'));
  const ownGzip = new Set(site.files.flatMap((file) => [file.gzip]).filter((level) => typeof level === 'number'));
  const note = $('sizes-note');
  note.replaceChildren(
    `Compressed sizes are those of the preview (brotli ${br}, gzip ${gzip}). A publish uses brotli ${[...own].join(', ') || 'none'}`,
    ` and gzip ${[...ownGzip].join(', ') || 'none'}, and they are a little smaller. `,
  );
  const left = unmeasured();
  if (left.length > 0 && !measuring) {
    const button = make('button', { type: 'button', onclick: () => measure(true) }, `Compress ${many(left.length, 'file')}`);
    note.append(button);
  } else if (left.length > 0) {
    note.append(`${many(left.length, 'file')} left.`);
  }
}

const unmeasured = () =>
  site.files.filter(({ path, br, gzip }) => (br !== null || gzip !== null) && !encoded.has(path)).map(({ path }) => path);

async function measure(isAsked) {
  if (measuring || (!isAsked && site.bytes > MEASURED_AT_ONCE)) {
    noteSizes();
    return;
  }
  measuring = true;
  const { root } = site;
  for (let left = unmeasured(); left.length > 0; left = unmeasured()) {
    noteSizes();
    const answer = await ask('api/sizes', { paths: left.slice(0, BATCH) }).catch(() => undefined);
    if (answer?.root !== root || site.root !== root || answer.files.length === 0) break;
    for (const { path, br, gzip } of answer.files) encoded.set(path, { br, gzip });
  }
  measuring = false;
  noteSizes();
  drawSizes();
}

$('view').addEventListener('change', drawSizes);
$('measure').addEventListener('change', drawSizes);
new ResizeObserver(() => site.root && drawSizes()).observe($('treemap'));

// ---- findings, builds

function drawTrouble() {
  const wrong = state.trouble;
  const parts = wrong
    ? [
        make('p', { class: 'error' }, make('strong', {}, wrong.message)),
        make('p', {}, wrong.hint),
        ...(wrong.output.length > 0
          ? [make('pre', { tabindex: '0', role: 'region', 'aria-label': 'Output of the build' }, wrong.output.join('\n'))]
          : []),
      ]
    : [];
  $('trouble').replaceChildren(...parts);
}

// Moves the findings to the top if there is anything wrong.
function placeFindings(findings) {
  const section = $('findings').closest('section');
  const main = $('main');
  const isFirst = findings.length > 0 || Boolean(state.trouble);
  if (isFirst && main.firstElementChild !== section) main.prepend(section);
  else if (!isFirst && main.firstElementChild === section) $('sizes').closest('section').after(section);
}

function drawFindings(findings) {
  placeFindings(findings);
  if (findings.length === 0) {
    $('findings-list').replaceChildren(make('p', {}, 'No problems found.'));
    return;
  }
  const rows = findings
    .sort((a, b) => (a.severity < b.severity ? -1 : a.severity > b.severity ? 1 : 0))
    .reduce((groups, { severity, path, line, check, message, hint }) => {
      // Findings with the same fix share a row.
      const key = [severity, check, hint].join('\n');
      const group = groups.get(key) ?? { severity, check, hint, places: [] };
      group.places.push(make('div', {}, make('code', {}, line ? `${path}:${line}` : path || 'the site'), ` ${message}`));
      return groups.set(key, group);
    }, new Map());
  const cells = [...rows.values()].map(({ severity, check, hint, places }) => [
    make('span', { class: severity }, places.length > 1 ? `${many(places.length, severity)}` : severity),
    check,
    make('div', {}, ...shortened(places)),
    hint,
  ]);
  const table = fill(make('table', { class: 'stack' }), many(findings.length, 'finding'), [['Severity'], ['Check'], ['What'], ['Fix']], cells);
  const scroll = make('div', { class: 'scroll', role: 'region', 'aria-label': 'List of findings', tabindex: '0' }, table);
  $('findings-list').replaceChildren(scroll);
}

// Shows the first of many places, and the others in a collapsed element.
function shortened(places) {
  const first = places.slice(0, 5);
  const others = places.slice(5);
  if (others.length === 0) return first;
  const more = make('details', { class: 'more' }, make('summary', {}, `${others.length.toLocaleString('en')} more`), ...others);
  return [...first, more];
}

function drawTimes(times) {
  if (times.length === 0) {
    $('times-list').replaceChildren(make('p', {}, 'None yet.'));
    return;
  }
  const what = { build: 'build', site: 'preparing the preview' };
  const rows = times.map((time) => [clock(time.at), what[time.what], time.ok ? 'done' : 'failed', seconds(time.seconds)]);
  const table = fill(make('table'), 'Newest first', [['Ended'], ['What'], ['Result'], ['Took', 'number']], rows);
  const scroll = make('div', { class: 'scroll', role: 'region', 'aria-label': 'Times', tabindex: '0' }, table);
  $('times-list').replaceChildren(scroll);
}

// ---- the target

// Sets up a button that queries the target. Shows the result and the time of the query.
function asks(name, draw) {
  const button = $(`ask-${name}`);
  button.addEventListener('click', async () => {
    button.disabled = true;
    const told = $(`${name}-asked`);
    told.textContent = 'Loading…';
    const answer = await ask(`api/${name}`, {}).catch(() => undefined);
    button.disabled = false;
    button.focus();
    if (!answer) {
      told.textContent = 'The preview does not answer. Is it still running?';
      return;
    }
    told.replaceChildren('As of ', clock(answer.asked), '. ', make('span', { class: 'stale' }));
    told.dataset.root = site.root;
    const parts = answer.error
      ? [make('p', { class: 'error' }, make('strong', {}, answer.error.message)), make('p', {}, answer.error.hint)]
      : draw(answer.ok);
    $(`${name}-answer`).replaceChildren(...parts);
    button.textContent = 'Refresh';
  });
}

asks('plan', ({ target, notes, plan, summary, items }) => {
  const { changes } = plan;
  const text =
    changes.length === 0
      ? `Nothing to publish: ${target} already has this site.`
      : `On ${target}: ${summary}. To upload: at most ${bytes(plan.bytes_sent)} before compression.`;
  const parts = [make('p', {}, text), ...notes.map((note) => make('p', { class: 'warning' }, note))];
  if (changes.length > 0) {
    const rows = items.slice(0, ROWS).map(({ change, url }) => [change, make('code', {}, url)]);
    const table = fill(make('table'), 'Pages and files that change', [['Change'], ['URL']], rows);
    parts.push(make('div', { class: 'scroll', role: 'region', 'aria-label': 'Changes', tabindex: '0' }, table));
    if (items.length > ROWS) parts.push(make('p', {}, `and ${many(items.length - ROWS, 'more change')}`));
  }
  return parts;
});

asks('releases', ({ target, releases }) => {
  if (releases.length === 0) return [make('p', {}, `Nothing has been published to ${target} yet.`)];
  const rows = releases.map(({ id, created, current, files, bytes: length, commit, message, rollback }) => [
    make('code', {}, id),
    created ? clock(created) : 'unknown',
    files === null ? '' : `${many(files, 'file')}, ${bytes(length)}`,
    commit ? make('code', {}, commit.slice(0, 12)) : '',
    message ?? '',
    current ? make('strong', {}, 'live') : copied(rollback),
  ]);
  const columns = [['Release'], ['Published'], ['Size'], ['Commit'], ['Message'], ['Roll back']];
  const table = fill(make('table', { class: 'stack' }), `On ${target}, newest first`, columns, rows);
  return [make('div', { class: 'scroll', role: 'region', 'aria-label': 'List of releases', tabindex: '0' }, table)];
});

function copied(command) {
  const said = make('span', { role: 'status' });
  const copy = async () => {
    await navigator.clipboard.writeText(command).then(
      () => said.replaceChildren(' copied'),
      () => said.replaceChildren(' select it to copy'),
    );
  };
  const button = make('button', { type: 'button', 'aria-label': `Copy: ${command}`, onclick: copy }, 'Copy');
  return make('span', {}, make('code', {}, command), ' ', button, said);
}

// ---- what is served

async function refresh() {
  const [files, findings, times] = await Promise.all([read('api/site'), read('api/findings'), read('api/times')]);
  if (files.root !== site.root) {
    // The server caches the sizes of what it has compressed, so files that did not change are available immediately.
    encoded = new Map();
    site = files;
  }
  $('front').href = `${site.base ?? ''}/`;
  $('root').textContent = site.root ? site.root.slice(0, 12) : '';
  if (site.name) {
    $('name').textContent = site.name;
    document.title = `${site.name} – preview`;
  }
  for (const name of ['plan', 'releases']) {
    const told = $(`${name}-asked`);
    const stale = told.querySelector('.stale');
    if (stale && told.dataset.root !== site.root) stale.textContent = 'The site has changed since then.';
  }
  drawSizes();
  drawFindings(findings);
  drawTimes(times);
  measure(false);
}

function summary() {
  const parts = [];
  parts.push(state.site ? many(site.files.length, 'file') : 'No export yet');
  if (state.building) parts.push('a build is running');
  if (state.trouble) parts.push('the last attempt failed');
  parts.push(`${many(state.errors ?? 0, 'error')}, ${many(state.warnings ?? 0, 'warning')}`);
  $('summary').textContent = `${parts.join('; ')}.`;
}

const events = new EventSource('/__syntax/events');
events.addEventListener('state', async ({ data }) => {
  state = JSON.parse(data);
  drawTrouble();
  await refresh().catch(() => undefined);
  summary();
  // The element that the address names did not exist yet when the browser tried to scroll to it.
  if (document.documentElement.dataset.ready !== 'yes' && location.hash) $(location.hash.slice(1))?.scrollIntoView();
  document.documentElement.dataset.ready = 'yes';
});
events.addEventListener('error', () => {
  $('summary').textContent = 'The preview does not answer. Is it still running?';
});
