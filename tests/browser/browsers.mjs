// Chromium, started when it is first needed: one for everything that is fresh, and one for each
// visitor whose cache stays.

import { chromium } from 'playwright-core';

// Playwright switches features off by an option of which only the last counts: this is its list, and
// before it the two pages of the address bar that each new window would load, at more cost than ours.
const FEATURES = [
  'WebUIOmniboxPopup',
  'WebUIOmniboxAimPopup',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsUpgrades',
  'HttpsFirstBalancedModeAutoEnable',
  'LensOverlay',
  'MediaRouter',
  'PaintHolding',
  'ThirdPartyStoragePartitioning',
  'OptimizationHints',
  'NetworkTimeServiceQuerying',
  'AimEnabled',
  'PreconnectToSearch',
];

// No request but those of the pages, and no sandbox: tests run as root in containers.
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--disable-features=${FEATURES.join(',')}`,
];

const PERMISSIONS = ['clipboard-read', 'clipboard-write'];
const VIEW = { width: 1280, height: 900 };

export class Browsers {
  #settings;
  #shared;

  constructor(settings) {
    this.#settings = settings;
  }

  // A context that has never been anywhere, in the browser that all of them share.
  async fresh(viewport = VIEW) {
    this.#shared ??= chromium.launch(this.#options());
    const browser = await this.#shared;
    return browser.newContext({ viewport, permissions: PERMISSIONS });
  }

  // A browser of its own over a profile that outlives it, with its cache on the disk.
  returning(profile) {
    return chromium.launchPersistentContext(profile, { ...this.#options(), viewport: VIEW, permissions: PERMISSIONS });
  }

  async close() {
    const browser = await this.#shared?.catch(() => undefined);
    await browser?.close();
  }

  #options() {
    return { executablePath: this.#settings.chromium, args: ARGS, chromiumSandbox: false };
  }
}
