// The script that the preview adds to a page that a browser opens. It brings the page up to date when the site changes,
// and shows what is wrong with it. The only thing that it leaves in the page is one element at the end of the document,
// whose shadow root keeps its styles and the page's styles apart. It is never published.
(() => {
  'use strict';

  const script = document.currentScript;
  const own = new URL('.', script.src);
  const born = { site: script.dataset.site, file: script.dataset.file, at: location.pathname + location.search };
  script.remove();

  const KEY = '__syntax-preview';
  const address = () => location.pathname + location.search;
  // Runs `work` when the browser is idle, and no later than after a short time.
  const soon = (work) =>
    window.requestIdleCallback ? requestIdleCallback(() => work(), { timeout: 200 }) : setTimeout(work, 1);

  // The state that the previous document stored before this script reloaded the page.
  const came = (() => {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY));
      sessionStorage.removeItem(KEY);
      return kept?.at === born.at ? kept : null;
    } catch {
      return null;
    }
  })();

  function reload(site) {
    // A page that comes out of a cache every time must not reload forever.
    if (came?.to === site && born.site !== '') return;
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ at: address(), to: site, x: scrollX, y: scrollY }));
    } catch {
      // Without storage, rely on the browser to restore the scroll position.
    }
    location.reload();
  }

  // The browser restores the scroll position, unless the page has switched that off.
  function scrollBack() {
    if (came && (scrollX !== came.x || scrollY !== came.y)) {
      scrollTo({ left: came.x, top: came.y, behavior: 'instant' });
    }
  }
  addEventListener('load', () => requestAnimationFrame(scrollBack), { once: true });

  // The paths of everything that this document requested.
  const used = new Set();
  const note = (entries) => {
    for (const { name } of entries) {
      const url = new URL(name, location.href);
      if (url.origin === location.origin && !url.pathname.startsWith(own.pathname)) used.add(url.pathname);
    }
  };
  note(performance.getEntriesByType('resource'));
  new PerformanceObserver((list) => note(list.getEntries())).observe({ type: 'resource', buffered: true });

  // The original URLs of style sheets that were swapped: the preview uses the URLs of the document.
  const first = new WeakMap();
  const firstOf = (link) => first.get(link) ?? link.href;

  // Swaps style sheets. The old one is removed only after the new one has loaded, so that the page always has one.
  function restyle(styles) {
    const shown = [...document.querySelectorAll('link[rel~="stylesheet"][href]')];
    for (const [from, to] of styles) {
      const old = new URL(from, document.baseURI).href;
      const wanted = new URL(to, document.baseURI).href;
      const links = shown.filter((link) => firstOf(link) === old || firstOf(link).split('?')[0] === old);
      if (links.length === 0) return false;
      const last = links.at(-1);
      if (last.href === wanted) continue;
      const next = last.cloneNode();
      next.href = wanted;
      first.set(next, firstOf(last));
      const done = () => links.forEach((link) => link.remove());
      next.addEventListener('load', done, { once: true });
      next.addEventListener('error', done, { once: true });
      last.after(next);
    }
    return true;
  }

  let state = null;
  let asking = false;
  let again = false;

  // Requests what the changes since this document was loaded mean for it.
  async function ask() {
    again = asking;
    if (asking || !state?.site || state.site === born.site) return;
    if (born.site === '') {
      reload(state.site);
      return;
    }
    asking = true;
    const question = { site: born.site, file: born.file, loaded: born.at, address: address(), used: [...used] };
    try {
      const answered = await fetch(new URL('api/affected', own), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(question),
      });
      const answer = await answered.json();
      if (question.address !== address()) again = true;
      else if (answer.do === 'reload') reload(answer.site);
      else if (answer.do === 'restyle' && !restyle(answer.styles)) reload(answer.site);
    } catch {
      // The preview is not running at the moment. The request is repeated when it is back.
    }
    asking = false;
    if (again) ask();
  }

  let events = null;
  let isLeaving = false;

  function listen() {
    if (events || isLeaving) return;
    events = new EventSource(new URL('events', own));
    events.addEventListener('state', ({ data }) => {
      state = JSON.parse(data);
      ask();
      show();
    });
  }

  // A browser opens only a few connections to one server, so hidden tabs give up theirs.
  function hear() {
    if (document.visibilityState === 'visible') {
      listen();
    } else {
      events?.close();
      events = null;
    }
  }
  document.addEventListener('visibilitychange', hear);
  addEventListener('pagehide', () => {
    isLeaving = true;
    events?.close();
    events = null;
  });
  addEventListener('pageshow', () => {
    isLeaving = false;
    hear();
  });
  // After a client-side navigation the reader is on another page.
  window.navigation?.addEventListener('currententrychange', () => soon(ask));
  addEventListener('popstate', () => soon(ask));
  hear();

  // ---- problems, shown in the page

  const STYLE = `
    :host { all: initial !important; position: fixed !important; z-index: 2147483647 !important;
      inset: auto auto 1rem 1rem !important; display: block !important; color-scheme: light dark !important; }
    * { box-sizing: border-box; }
    .frame { font: 14px/1.5 system-ui, sans-serif; color: light-dark(#1c1d21, #ececf0); }
    button, a { font: inherit; color: inherit; }
    button { cursor: pointer; border: 1px solid light-dark(#6f7380, #8d919c); border-radius: 6px; padding: .15rem .6rem;
      background: light-dark(#fff, #26282e); }
    button:hover { background: light-dark(#eceef3, #33363e); }
    :focus-visible { outline: 3px solid light-dark(#1257d6, #8ab4ff); outline-offset: 2px; }
    .badge { border-radius: 99px; box-shadow: 0 2px 8px #0005; font-weight: 600; }
    .badge.error { background: #b3141f; border-color: #b3141f; color: #fff; }
    .panel { width: min(46rem, calc(100vw - 2rem)); max-height: min(70vh, 40rem); overflow: auto; padding: 1rem 1.2rem;
      background: light-dark(#fff, #1b1c21); border: 1px solid light-dark(#c9ccd4, #474b55); border-radius: 10px;
      box-shadow: 0 8px 30px #0006; }
    .top { display: flex; gap: 1rem; align-items: center; justify-content: space-between; }
    h2 { font-size: 1.1rem; margin: 0; }
    ul { list-style: none; margin: .8rem 0; padding: 0; display: grid; gap: .7rem; }
    li { border-left: 4px solid light-dark(#8a6100, #e0b040); padding-left: .7rem; }
    li.error { border-color: light-dark(#b3141f, #ff8a8a); }
    code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
    pre { white-space: pre-wrap; max-height: 16rem; overflow: auto; padding: .6rem; border-radius: 6px; margin: .6rem 0;
      background: light-dark(#f1f2f5, #101115); }
    p { margin: .2rem 0; }
    .fix { color: light-dark(#4a4d57, #b9bcc6); }
    [hidden] { display: none; }
    .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    @media (max-width: 30rem) { .panel { width: calc(100vw - 2rem); padding: .7rem .8rem; } }
  `;

  let host = null;
  let root = null;
  // Closes the open panel.
  let shut = null;
  // The problems in the panel that the reader closed. It stays closed until they are different.
  let closed = '';

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  const many = (number, thing) => `${number} ${thing}${number === 1 ? '' : 's'}`;

  function summary() {
    const parts = [];
    if (state.trouble) parts.push(state.trouble.what === 'build' ? 'the build failed' : 'the export could not be read');
    if (state.errors) parts.push(many(state.errors, 'error'));
    if (state.warnings) parts.push(many(state.warnings, 'warning'));
    const text = parts.join(', ');
    return text && text[0].toUpperCase() + text.slice(1);
  }

  // Whether a finding is about the page that the reader is on, including after a client-side navigation.
  function isHere(path) {
    const at = decodeURI(location.pathname).replace(/^\/|\/$/g, '');
    const files = [`${at}.html`, `${at}/index.html`, at === '' ? 'index.html' : at];
    return files.some((file) => path === file || file.endsWith(`/${path}`));
  }

  // Findings of this page come first. Each fix is shown once, with all the places that need it.
  function findings() {
    const groups = new Map();
    for (const { path, line, severity, check, message, hint } of state.findings) {
      const key = [isHere(path), severity, check, hint].join('\n');
      const group = groups.get(key) ?? { isHere: isHere(path), severity, check, hint, places: [] };
      group.places.push({ where: line ? `${path}:${line}` : path || 'the site', message });
      groups.set(key, group);
    }
    const rank = ({ isHere: here, severity }) => (here ? 0 : 2) + (severity === 'error' ? 0 : 1);
    const items = [...groups.values()]
      .sort((a, b) => rank(a) - rank(b))
      .map(({ isHere: here, severity, check, hint, places }) =>
        make(
          'li',
          { class: severity },
          make('p', {}, make('strong', {}, `${severity}${here ? ' on this page' : ''}`), ` (${check})`),
          ...places.map(({ where, message }) => make('p', {}, make('code', {}, where), ` ${message}`)),
          make('p', { class: 'fix' }, `fix: ${hint}`),
        ),
      );
    return items.length > 0 ? [make('ul', { role: 'list' }, ...items)] : [];
  }

  function trouble() {
    if (!state.trouble) return [];
    const { message, hint, output } = state.trouble;
    const parts = [make('p', {}, make('strong', {}, message)), make('p', { class: 'fix' }, hint)];
    if (output.length > 0) {
      parts.push(make('pre', { tabindex: '0', role: 'region', 'aria-label': 'Output of the build' }, output.join('\n')));
    }
    return parts;
  }

  // Wait until the page has loaded, so that hydration is not disturbed.
  function show() {
    if (window.top !== window) return;
    if (document.readyState === 'complete') soon(draw);
    else addEventListener('load', () => soon(draw), { once: true });
  }

  function draw() {
    const key = JSON.stringify([state.trouble, state.findings, state.errors, state.warnings]);
    if (!state.trouble && state.errors === 0 && state.warnings === 0) {
      host?.remove();
      closed = '';
      return;
    }
    if (!host) {
      host = document.createElement('syntax-preview');
      root = host.attachShadow({ mode: 'open' });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet];
    }
    if (!host.isConnected) document.documentElement.append(host);
    if (host.dataset.key === key) return;
    host.dataset.key = key;
    const isGrave = Boolean(state.trouble) || state.errors > 0;
    render(key, isGrave && closed !== key);
  }

  function render(key, isOpen) {
    const text = summary();
    const isGrave = Boolean(state.trouble) || state.errors > 0;
    const open = () => {
      render(key, true);
      root.querySelector('.close').focus();
    };
    shut = () => {
      closed = key;
      render(key, false);
      root.querySelector('.badge').focus();
    };
    if (!isOpen) shut = null;
    const content = isOpen
      ? make(
          'section',
          { class: 'panel', 'aria-labelledby': 'title' },
          make(
            'div',
            { class: 'top' },
            make('h2', { id: 'title' }, text),
            make('button', { class: 'close', type: 'button', onclick: shut }, 'Close (Esc)'),
          ),
          ...trouble(),
          ...findings(),
          make('p', {}, make('a', { href: `${own.pathname}#findings` }, 'All findings')),
        )
      : make(
          'button',
          { class: isGrave ? 'badge error' : 'badge', type: 'button', 'aria-expanded': 'false', onclick: open },
          text,
        );
    let said = root.querySelector('.said');
    if (!said) {
      said = make('div', { role: 'status', class: 'said' });
      root.append(said);
    }
    root.querySelector('.frame')?.remove();
    root.append(make('div', { class: 'frame' }, content));
    // A screen reader announces changes in a region that already exists. It announces the summary, not the complete
    // list.
    if (said.textContent !== text) soon(() => said.replaceChildren(text));
  }

  // Works wherever the focus is.
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && shut && host?.isConnected && !event.defaultPrevented) shut();
  });
})();
