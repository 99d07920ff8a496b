// One page under watch: every request with what it really cost, everything that went wrong, and when
// the page has come to rest.

import { join } from 'node:path';

// How long a page may take to come to rest before that is what is wrong with it.
const PATIENCE = 60_000;

// What the browser says, or not, as the clock has it: Next preloads for pages that the reader may go
// to. A picture that is loaded under two names shows in the requests instead.
const CHANCE = /was preloaded using link preload but not used within a few seconds/;

// The icon that the browser asks for by itself, once and at a time of its own, if a site names none.
const ICON = '/favicon.ico';
const MISSING = /status of 404/;

// Runs in the page: resolves once it has painted and idled three times, with whether React or Vue has
// taken over its elements. Astro has nothing that takes over a page.
const IDLED = `new Promise((done) => {
  const plain = document.querySelector('meta[name=generator][content^=Astro]') !== null;
  const ours = (element) => plain || '__vue_app__' in element
    || Object.keys(element).some((key) => key.startsWith('__reactFiber$'));
  let left = 3;
  const turn = () => requestAnimationFrame(() => requestIdleCallback(() => {
    left -= 1;
    if (left > 0) turn();
    else done([...document.body.querySelectorAll('*')].some(ours));
  }, { timeout: 2000 }));
  turn();
})`;

export class Watched {
  // What went wrong, in words, in its order.
  problems = [];
  // A console message about the page itself that is as it should be.
  tolerated = undefined;
  // Every request: path with query, method, kind, status, bytes on the wire, and where from
  // (network, validated, disk, memory).
  requests = [];
  #known = new Map();
  // Requests that the cache was confirmed for: that may be told before the request itself is.
  #confirmed = new Set();
  #flying = new Set();
  #begun = 0;
  #landed = [];
  #cdp;
  #settings;

  static async open(context, settings) {
    const watched = new Watched();
    watched.page = await context.newPage();
    watched.page.setDefaultTimeout(PATIENCE);
    watched.#settings = settings;
    await watched.#listen(context);
    return watched;
  }

  // Goes to a URL and waits until the page has come to rest. Returns the status.
  async go(url) {
    const response = await this.page.goto(url, { waitUntil: 'load' });
    await this.rest();
    return response.status();
  }

  async reload() {
    const response = await this.page.reload({ waitUntil: 'load' });
    await this.rest();
    return response.status();
  }

  // Waits until the client has taken over, nothing is asked for any more, and the page idles.
  async rest() {
    const deadline = performance.now() + PATIENCE;
    let hydrated = false;
    while (performance.now() < deadline) {
      await this.#nothingFlies(deadline);
      const begun = this.#begun;
      hydrated = await this.#idled();
      if (hydrated && this.#flying.size === 0 && begun === this.#begun) return;
    }
    const flying = [...this.#flying].map((id) => this.#known.get(id).path);
    const why = hydrated ? `still asking for ${flying.join(', ') || 'more and more'}` : 'no client took over';
    this.problems.push(`did not come to rest: ${why}`);
  }

  // A picture of the page as it is now. Returns its file.
  async picture(name) {
    const file = join(this.#settings.artifacts, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.png`);
    return this.page.screenshot({ path: file }).then(
      () => file,
      () => undefined,
    );
  }

  // The requests since the last call.
  taken() {
    const confirmed = ({ id }) => this.#confirmed.has(id);
    return this.requests
      .splice(0)
      .filter((request) => !isOwn(request))
      .map((request) => (confirmed(request) ? { ...request, status: 304, from: 'validated' } : request));
  }

  // The problems since the last call.
  blamed() {
    return this.problems.splice(0);
  }

  async #listen(context) {
    const { page } = this;
    page.on('console', (message) => {
      const { url, lineNumber } = message.location();
      const path = /^https?:/.test(url) ? short(url) : undefined;
      const at = path ? ` (${path}:${lineNumber})` : '';
      // The browser says so of the page itself when its status is that of an error.
      const expected = message.text() === this.tolerated && url === page.url();
      const own = path === ICON && MISSING.test(message.text());
      if (expected || own || CHANCE.test(message.text())) return;
      this.problems.push(`console ${message.type()}: ${message.text()}${at}`);
    });
    page.on('pageerror', (error) => this.problems.push(`page error: ${error.message}`));
    page.on('crash', () => this.problems.push('the page crashed'));
    this.#cdp = await context.newCDPSession(page);
    this.#cdp.on('Network.requestWillBeSent', (event) => this.#asked(event));
    this.#cdp.on('Network.responseReceived', (event) => this.#answered(event));
    this.#cdp.on('Network.responseReceivedExtraInfo', ({ requestId, statusCode }) => {
      if (statusCode === 304) this.#confirmed.add(requestId);
    });
    this.#cdp.on('Network.requestServedFromCache', ({ requestId }) => this.#note(requestId, { from: 'memory' }));
    this.#cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      this.#note(requestId, { bytes: encodedDataLength });
      this.#done(requestId);
    });
    this.#cdp.on('Network.loadingFailed', ({ requestId, errorText, blockedReason }) => {
      const request = this.#known.get(requestId);
      // No one reads the body of a HEAD, which has none: the browser calls that aborted.
      const whole = request?.method === 'HEAD' && request.status !== 0;
      if (request && !whole) this.problems.push(`failed: ${request.path}: ${blockedReason ?? errorText}`);
      this.#done(requestId);
    });
    // No one hears of the requests of a document that is gone.
    this.#cdp.on('Page.frameNavigated', ({ frame: { parentId, loaderId } }) => {
      if (parentId) return;
      for (const id of this.#flying) {
        if (this.#known.get(id).loader !== loaderId) this.#done(id);
      }
    });
    await this.#cdp.send('Page.enable');
    await this.#cdp.send('Network.enable');
  }

  #asked({ requestId, loaderId, request, type, redirectResponse }) {
    // That of a worker's script is begun here and ended where no one listens.
    if (!/^https?:/.test(request.url) || !loaderId) return;
    if (redirectResponse) {
      this.#note(requestId, {
        status: redirectResponse.status,
        bytes: redirectResponse.encodedDataLength,
        from: redirectResponse.fromDiskCache ? 'disk' : 'network',
      });
      this.#done(requestId);
    }
    this.#begun += 1;
    const asked = {
      id: requestId,
      loader: loaderId,
      path: short(request.url),
      method: request.method,
      kind: type,
      status: 0,
      bytes: 0,
      from: 'network',
    };
    this.#known.set(requestId, asked);
    this.#flying.add(requestId);
    this.requests.push(asked);
  }

  #answered({ requestId, response }) {
    const request = this.#known.get(requestId);
    if (!request) return;
    request.status ||= response.status;
    if (response.fromDiskCache && request.from === 'network') request.from = 'disk';
    const missing = (this.tolerated && request.kind === 'Document') || isOwn(request);
    if (response.status >= 400 && !missing) this.problems.push(`status ${response.status}: ${request.path}`);
  }

  #note(requestId, facts) {
    const request = this.#known.get(requestId);
    if (request) Object.assign(request, facts);
  }

  #done(requestId) {
    this.#flying.delete(requestId);
    if (this.#flying.size === 0) {
      for (const landed of this.#landed.splice(0)) landed();
    }
  }

  #nothingFlies(deadline) {
    if (this.#flying.size === 0) return undefined;
    return new Promise((resolve) => {
      const late = setTimeout(resolve, Math.max(0, deadline - performance.now()));
      this.#landed.push(() => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  // By the session that reports requests, so that what the page asked for before is known after.
  async #idled() {
    const asked = { expression: IDLED, awaitPromise: true, returnByValue: true };
    // A navigation takes the page away from under the question: then it is asked of the next one.
    const answer = await this.#cdp.send('Runtime.evaluate', asked).catch(() => undefined);
    return answer?.result?.value === true;
  }
}

// Whether the browser, not the page, asked for a file that is not there.
function isOwn({ path, kind, status }) {
  return path === ICON && kind === 'Other' && status === 404;
}

// A URL without its origin.
function short(url) {
  const { pathname, search } = new URL(url);
  return `${pathname}${search}`;
}
