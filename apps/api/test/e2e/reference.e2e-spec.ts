import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import supertest from 'supertest';
import { findOptionalPart } from '../support/optional-parts.js';
import { TestApp } from '../support/test-app.js';

const executablePath = findOptionalPart('Chromium', '/usr/bin/chromium');
const withChromium = executablePath === null ? describe.skip : describe;

withChromium('the reference in a browser', () => {
  let rind: TestApp;
  let userDataDir: string;
  let browser: BrowserContext;
  let page: Page;
  /** Console errors and uncaught exceptions; violations of the security policy are among the former. */
  const complaints: string[] = [];
  const requests: string[] = [];
  const failedRequests: string[] = [];

  beforeAll(async () => {
    rind = await TestApp.start();
    userDataDir = mkdtempSync(join(tmpdir(), 'rind-chromium-'));
    browser = await chromium.launchPersistentContext(userDataDir, {
      executablePath: executablePath!,
      headless: true,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    page = await browser.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning')
        complaints.push(message.text());
    });
    page.on('pageerror', (error) => void complaints.push(error.message));
    page.on('request', (request) => void requests.push(request.url()));
    page.on('requestfailed', (request) => void failedRequests.push(request.url()));
    page.on('response', (response) => {
      if (response.status() >= 400) failedRequests.push(response.url());
    });
    await page.goto(`${rind.url}/docs`, { waitUntil: 'networkidle' });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(userDataDir, { recursive: true, force: true });
    await rind.stop();
  });

  test('lists every operation of the document', async () => {
    const { body } = await supertest(rind.url).get('/api/v1/openapi.json').expect(200);
    const expected = Object.entries(body.paths as Record<string, object>).flatMap(
      ([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const blocks = page.locator('.opblock');
    await blocks.first().waitFor();
    const shown = await blocks.evaluateAll((elements) =>
      elements.map((element) =>
        ['.opblock-summary-method', '.opblock-summary-path']
          // Zero-width spaces let long paths break.
          .map((part) => element.querySelector(part)?.textContent?.replaceAll('\u200b', ''))
          .join(' '),
      ),
    );
    expect(shown.toSorted()).toEqual(expected.toSorted());
    expect(await page.title()).toBe('Rind API');
  });

  test('shows an operation with its schemas, and calls it', async () => {
    const health = page.locator('#operations-health-getHealth');
    await health.locator('.opblock-summary-control').click();
    await health.getByRole('button', { name: 'Try it out' }).click();
    await health.getByRole('button', { name: 'Execute' }).click();
    const answer = health.locator('.live-responses-table .response');
    await answer.waitFor();
    expect(await answer.locator('.response-col_status').textContent()).toContain('200');
    expect(await answer.textContent()).toContain('"status": "ok"');
  });

  test('loads everything from its own origin, and nothing fails', () => {
    expect(requests.length).toBeGreaterThan(3);
    const elsewhere = requests.filter(
      (url) => !url.startsWith(`${rind.url}/`) && !url.startsWith('data:'),
    );
    expect(elsewhere).toEqual([]);
    expect(failedRequests).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

describe('the reference in production', () => {
  const production = {
    NODE_ENV: 'production',
    JWT_SECRET: 'a secret of this test, with more than 32 characters',
    FRONTEND_URL: 'https://app.example.com',
    RESEND_API_KEY: 'one of this test',
    EMAIL_FROM: 'mail@example.com',
    ENCRYPTION_KEY: 'another of this test, with more than 32 characters',
  };

  test.each([
    ['is off', {}, 404],
    ['is on when it is asked for', { DOCS_ENABLED: 'true' }, 200],
  ])('%s, and the document is served', async (_, env, status) => {
    const rind = await TestApp.start({ env: { ...production, ...env } });
    try {
      for (const path of ['/docs', '/docs/', '/docs/swagger-ui-init.js', '/docs/swagger-ui.css']) {
        const answer = await supertest(rind.url).get(path).redirects(1);
        expect([path, answer.status]).toEqual([path, status]);
      }
      const { body } = await supertest(rind.url).get('/api/v1/openapi.json').expect(200);
      expect(body.info.title).toBe('Rind API');
    } finally {
      await rind.stop();
    }
  });
});
