import { readFileSync } from 'node:fs';
import { errorCodes, type ErrorCode, PullResult, syncTables, type User } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import supertest from 'supertest';
import { UsersService } from '../../src/users/users.service.js';
import { LogRecorder } from '../support/log-recorder.js';
import { listRoutes } from '../support/routes.js';
import { type Account, TestApp } from '../support/test-app.js';

interface Schema {
  readonly $ref?: string;
}

interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly security?: ReadonlyArray<Record<string, readonly string[]>>;
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly schema?: object }>;
  readonly requestBody?: { readonly required?: boolean; readonly content: Answer['content'] };
  readonly responses: Readonly<Record<string, Answer>>;
  readonly 'x-problem-codes'?: readonly ErrorCode[];
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly securitySchemes: object;
  };
}

const committed = JSON.parse(
  readFileSync(new URL('../../../../packages/contracts/openapi.json', import.meta.url), 'utf8'),
) as Document;

/** By name, so that each has tests of its own. What is served is held against this document. */
const operations = Object.entries(committed.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(
    ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
  ),
);
const isSuccess = (status: string) => /^[23]/.test(status);
const PROBLEM = 'application/problem+json';

describe('routes', () => {
  let rind: TestApp;
  let account: Account;

  beforeAll(async () => {
    // The document has the product's tables, and each of them is held against it.
    rind = await TestApp.start({ tables: syncTables });
    account = await rind.signUp();
  });
  afterAll(() => rind.stop());

  async function call(route: string, token?: string) {
    const [method = '', path = ''] = route.split(' ');
    const url = path.replaceAll(/\{\w+\}/g, '01900000-0000-7000-8000-000000000000');
    return rind.request(method, url.replace('/api/v1', ''), token ? { token } : {});
  }

  test('the document that is served is the one that is committed', async () => {
    const { body, headers } = await supertest(rind.url).get('/api/v1/openapi.json').expect(200);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(body).toEqual(committed);
    expect(committed.openapi).toMatch(/^3\.1\./);
  });

  test('the running server has the routes of the document, those that serve it, and the metrics', () => {
    const routes = listRoutes(rind.app)
      .filter(({ path }) => !/^\/docs\b/.test(path))
      .map(({ method, path }) => `${method} ${path}`);
    const others = [
      'GET /api/v1/notifications/unsubscribe',
      'GET /api/v1/openapi.json',
      'GET /api/v1/socket.io',
      'GET /metrics',
      'OPTIONS *',
    ];
    expect(routes.toSorted()).toEqual(
      [...operations.map(([route]) => route), ...others].toSorted(),
    );
  });

  test('each operation has an id of its own, fit for a function', () => {
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(ids.toSorted()).toEqual([...new Set(ids)].toSorted());
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]*$/);
  });

  test('every reference leads to a component', () => {
    const targets = JSON.stringify(committed).matchAll(
      /"\$ref":"#\/components\/schemas\/([^"]+)"/g,
    );
    const names = new Set(Array.from(targets, ([, name]) => name!));
    expect(names.size).toBeGreaterThan(10);
    expect([...names].filter((name) => !(name in committed.components.schemas))).toEqual([]);
  });

  describe.each(operations)('%s', (route, operation) => {
    const isPublic = operation.security?.length === 0;

    test('says what it is for', () => {
      expect(operation.tags).toHaveLength(1);
      expect(operation.summary).toMatch(/\S/);
    });

    test('declares whether it needs a token', () => {
      const roles = operation['x-problem-codes']?.includes('forbidden') ? ['admin'] : [];
      expect(operation.security).toEqual(
        isPublic ? [] : [{ accessToken: roles }, { accessCookie: roles }],
      );
      expect(committed.components.securitySchemes).toMatchObject({
        accessToken: { type: 'http', scheme: 'bearer' },
        accessCookie: { type: 'apiKey', in: 'cookie', name: '__Host-rind_access' },
      });
    });

    test('needs a token if it says so, and only then', async () => {
      const anonymous = await call(route);
      expect([route, anonymous.status === 401]).toEqual([route, !isPublic]);
      if (!isPublic) expect(anonymous.body).toMatchObject({ code: 'unauthenticated' });
      // Signing up again each time: one of the routes ends the session.
      const { accessToken } = await rind.signUp();
      expect((await call(route, accessToken)).status).not.toBe(401);
    });

    test('answers nothing that it does not declare', async () => {
      const { accessToken } = await rind.signUp();
      for (const { status, headers, body } of [await call(route), await call(route, accessToken)]) {
        const declared = operation.responses[status];
        expect([status, declared]).toEqual([status, expect.anything()]);
        const type = headers.get('content-type')?.split(';', 1)[0];
        if (type !== undefined) expect(Object.keys(declared?.content ?? {})).toContain(type);
        if (type === PROBLEM) expect(operation['x-problem-codes']).toContain(body.code);
      }
    });

    test('names the schema of its body', () => {
      if (!operation.requestBody) return;
      const { content = {} } = operation.requestBody;
      expect(Object.keys(content)).toEqual(['application/json']);
      expect(content['application/json']?.schema.$ref).toMatch(/^#\/components\/schemas\/\w+$/);
      // Where tokens travel in cookies, a refresh has nothing to say.
      expect(operation.requestBody.required).toBe(operation.operationId !== 'refresh');
    });

    test('declares its parameters with a schema each', () => {
      for (const parameter of operation.parameters ?? []) {
        expect(parameter).toMatchObject({ name: expect.any(String), schema: expect.anything() });
      }
    });

    test('names the schema of each answer', () => {
      const successes = Object.entries(operation.responses).filter(([status]) => isSuccess(status));
      expect(successes).not.toHaveLength(0);
      for (const [status, { description, content }] of successes) {
        expect(description).toMatch(/\S/);
        // 202: something will happen, and there is nothing to tell of it.
        if (['204', '302'].includes(status) || (status === '202' && !content))
          expect(content).toBeUndefined();
        else {
          expect(Object.keys(content ?? {})).toEqual(['application/json']);
          expect(content?.['application/json']?.schema.$ref).toMatch(
            /^#\/components\/schemas\/\w+$/,
          );
        }
      }
    });

    test('lists known problem codes, each once, and documents the status of each and no other', () => {
      const codes = operation['x-problem-codes'] ?? [];
      expect(codes).toEqual([...new Set(codes)]);
      for (const code of codes) expect(Object.keys(errorCodes)).toContain(code);
      expect(codes).toEqual(expect.arrayContaining(['internal_error', 'service_unavailable']));
      const statuses = new Set(codes.map((code) => String(errorCodes[code].status)));
      const documented = Object.keys(operation.responses).filter((status) => !isSuccess(status));
      expect(documented.toSorted()).toEqual([...statuses].toSorted());
      for (const status of statuses) {
        const { content = {} } = operation.responses[status]!;
        // Ready answers 503 with its own document.
        if (content['application/json']) continue;
        expect(content[PROBLEM]?.schema.$ref).toBe('#/components/schemas/Problem');
      }
    });
  });

  describe('an answer is held against its schema', () => {
    afterEach(() => void jest.restoreAllMocks());

    const me = () =>
      supertest(rind.url).get('/api/v1/users/me').auth(account.accessToken, { type: 'bearer' });
    const answer = (user: object) =>
      jest.spyOn(rind.app.get(UsersService), 'get').mockResolvedValueOnce(user as User);

    test('what the schema does not name does not leave', async () => {
      answer({ ...account.user, passwordHash: '$argon2id$secret' });
      const { body } = await me().expect(200);
      expect(body).toEqual(account.user);
    });

    test.each([
      ['is missing', { email: undefined }],
      ['has another type', { roles: 'admin' }],
    ])('a field that %s is an internal error, and is logged', async (_, change) => {
      const log = new LogRecorder();
      answer({ ...account.user, ...change });
      const { body } = await me().expect(500);
      expect(body).toMatchObject({ code: 'internal_error' });
      expect(log.find('Request failed')).toMatchObject([
        { err: { message: expect.stringContaining('Serialization failed') } },
      ]);
    });

    test('a pull writes its text itself, and keeps to its schema', async () => {
      const row = { created_at: 1, updated_at: 2 };
      const project = { ...row, id: 'p1', name: 'House "1"', description: null };
      const task = { ...row, id: 't1', title: 'Paint', is_completed: true, project_id: 'p1' };
      const token = account.accessToken;
      const changes = {
        projects: { created: [project, { ...project, id: 'p2' }] },
        tasks: { created: [task] },
      };
      await rind.request('POST', '/sync/push', { token, body: { changes, lastPulledAt: null } });
      const first = await rind.request<PullResult>('GET', '/sync/pull', { token });
      await rind.request('POST', '/sync/push', {
        token,
        body: {
          changes: { projects: { deleted: ['p2'] } },
          lastPulledAt: first.body.timestamp,
        },
      });
      const cursor = first.body.timestamp;
      const next = await rind.request<PullResult>('GET', `/sync/pull?lastPulledAt=${cursor}`, {
        token,
      });
      for (const { status, body } of [first, next]) {
        expect(status).toBe(200);
        // Parsing leaves out what the schema does not name, on every level.
        expect(PullResult.parse(body)).toEqual(body);
      }
      expect(next.body.changes['projects']?.deleted).toEqual(['p2']);
    });
  });
});
