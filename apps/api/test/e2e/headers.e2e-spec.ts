import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import supertest, { type Response, type Test } from 'supertest';
import { TestApp } from '../support/test-app.js';

const APP = 'https://app.example.com';
const ADMIN = 'https://admin.example.com:8443';
const FOREIGN = 'https://evil.example.com';

describe('headers of answers', () => {
  let rind: TestApp;

  beforeAll(async () => {
    rind = await TestApp.start({ env: { CORS_ORIGINS: `${APP}, ${ADMIN}` } });
  });
  afterAll(() => rind.stop());

  /** One of each kind: answered by a route, refused by a guard, unknown, refused while it was read, a page. */
  const answers: Array<[string, () => Test]> = [
    ['an answer', () => supertest(rind.url).get('/api/v1/health')],
    ['a 401', () => supertest(rind.url).get('/api/v1/users/me')],
    ['a 404', () => supertest(rind.url).get('/nothing')],
    ['a 415', () => supertest(rind.url).post('/api/v1/auth/login').type('text').send('x')],
    ['the document', () => supertest(rind.url).get('/api/v1/openapi.json')],
    ['the reference', () => supertest(rind.url).get('/docs')],
  ];

  describe.each(answers)('%s', (_, send) => {
    test('has those that protect browsers', async () => {
      const { headers } = await send();
      expect(headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'strict-transport-security': expect.stringMatching(/^max-age=\d{8}/),
        'x-permitted-cross-domain-policies': 'none',
      });
      const policy = headers['content-security-policy']!.split(';');
      expect(policy).toContain("default-src 'self'");
      expect(policy).toContain("script-src 'self'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("object-src 'none'");
      expect(headers['content-security-policy']).not.toContain('unsafe-eval');
    });

    test('tells nothing about the software, and is not to be stored', async () => {
      const { headers } = await send();
      expect(headers['x-powered-by']).toBeUndefined();
      expect(headers['server']).toBeUndefined();
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['set-cookie']).toBeUndefined();
    });

    test.each([APP, ADMIN])('may be read by the listed origin %s', async (origin) => {
      const { headers } = await send().set('origin', origin);
      expect(headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        vary: expect.stringContaining('Origin'),
      });
      const exposed = headers['access-control-expose-headers']!.split(', ');
      expect(exposed.toSorted()).toEqual([
        'ratelimit',
        'ratelimit-policy',
        'retry-after',
        'x-request-id',
      ]);
    });

    test.each([FOREIGN, `${APP}.evil.com`, 'http://app.example.com', `${APP}:8443`, 'null'])(
      'may not be read by %s',
      async (origin) => {
        const { headers } = await send().set('origin', origin);
        expect(headers['access-control-allow-origin']).toBeUndefined();
        expect(headers['vary']).toContain('Origin');
      },
    );
  });

  describe('preflight', () => {
    const preflight = (origin: string, method: string): Test =>
      supertest(rind.url)
        .options('/api/v1/sync/push')
        .set('origin', origin)
        .set('access-control-request-method', method)
        .set('access-control-request-headers', 'authorization,content-type,x-request-id');
    const list = (response: Response, name: string) => response.headers[name]?.split(/, ?/);

    test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])(
      'lets a listed origin send %s, a token and JSON',
      async (method) => {
        const response = await preflight(APP, method).expect(204);
        expect(response.headers['access-control-allow-origin']).toBe(APP);
        expect(response.headers['access-control-allow-credentials']).toBe('true');
        expect(list(response, 'access-control-allow-methods')).toContain(method);
        expect(list(response, 'access-control-allow-headers')).toEqual(
          expect.arrayContaining(['authorization', 'content-type', 'x-request-id']),
        );
        expect(response.headers['access-control-max-age']).toBe('600');
      },
    );

    test('lets a foreign origin send nothing', async () => {
      const { headers } = await preflight(FOREIGN, 'POST');
      expect(headers['access-control-allow-origin']).toBeUndefined();
    });
  });
});

describe('without CORS_ORIGINS', () => {
  test('no origin may read anything', async () => {
    const rind = await TestApp.start();
    try {
      for (const origin of [APP, rind.url, 'null']) {
        const { headers } = await supertest(rind.url).get('/api/v1/health').set('origin', origin);
        expect(headers['access-control-allow-origin']).toBeUndefined();
      }
    } finally {
      await rind.stop();
    }
  });
});
