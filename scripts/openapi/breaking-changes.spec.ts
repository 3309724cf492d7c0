import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { findBreakingChanges } from './breaking-changes.ts';
import type { Json } from './schemas.ts';

const documentFile = new URL('../../packages/contracts/openapi.json', import.meta.url);

const releasedText = JSON.stringify({
  paths: {
    '/tasks/{id}': {
      patch: {
        operationId: 'updateTask',
        security: [{ token: [] }, { cookie: [] }],
        'x-problem-codes': ['not_found', 'validation_failed'],
        parameters: [
          { in: 'query', name: 'limit', schema: { type: 'integer', maximum: 100 } },
          { in: 'query', name: 'sort', required: true, schema: { type: 'string' } },
        ],
        requestBody: {
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Body' } } },
        },
        responses: {
          200: {
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Task' } } },
          },
          404: { content: { 'application/problem+json': { schema: { type: 'object' } } } },
        },
      },
    },
    '/health': { get: { operationId: 'getHealth', security: [], responses: { 200: {} } } },
  },
  components: {
    schemas: {
      Body: {
        type: 'object',
        required: ['title'],
        properties: {
          title: { type: 'string', minLength: 1, maxLength: 50 },
          colour: { type: 'string', enum: ['red', 'green'] },
          note: { type: ['string', 'null'] },
          count: { type: 'number', minimum: 0 },
          contact: { type: 'string' },
          day: { type: 'string', format: 'date', pattern: '^1' },
          tags: { type: 'array', items: { type: 'string' } },
          extra: { type: 'object', additionalProperties: { type: ['string', 'number'] } },
          owner: { anyOf: [{ $ref: '#/components/schemas/Owner' }, { type: 'null' }] },
        },
      },
      Task: {
        type: 'object',
        required: ['id', 'title'],
        properties: {
          id: { type: 'string', format: 'uuid' },
          title: { type: 'string', maxLength: 50 },
          status: { type: 'string', enum: ['open', 'done'] },
          kind: { type: 'string', 'x-extensible-enum': ['chore', 'gift'] },
          note: { type: 'string' },
          count: { type: 'number' },
          owner: { allOf: [{ $ref: '#/components/schemas/Owner' }], description: 'Whose it is' },
          parts: { type: 'array', items: { $ref: '#/components/schemas/Task' } },
          extra: { type: 'object', additionalProperties: { type: 'string' } },
          result: { anyOf: [{ type: 'string' }, { type: 'boolean' }] },
        },
      },
      Owner: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string' }, next: { $ref: '#/components/schemas/Owner' } },
      },
    },
  },
});

type Path = readonly (string | number)[];

const operation = ['paths', '/tasks/{id}', 'patch'] as const;
const body = ['components', 'schemas', 'Body'] as const;
const task = ['components', 'schemas', 'Task'] as const;
const owner = ['components', 'schemas', 'Owner'] as const;
const bodyField = (name: string, ...rest: Path): Path => [...body, 'properties', name, ...rest];
const taskField = (name: string, ...rest: Path): Path => [...task, 'properties', name, ...rest];

interface Edit {
  at: Path;
  /** Left out: what is there is removed. */
  to?: unknown;
}

function edited({ at, to }: Edit): Json {
  const document = JSON.parse(releasedText) as Json;
  type Node = Record<string | number, unknown>;
  const parent = at.slice(0, -1).reduce<Node>((node, name) => node[name] as Node, document);
  const name = at.at(-1)!;
  if (to !== undefined) parent[name] = to;
  else if (Array.isArray(parent)) parent.splice(Number(name), 1);
  else delete parent[name];
  return document;
}

const breaksOf = (edit: Edit): string[] =>
  findBreakingChanges({ released: JSON.parse(releasedText) as Json, current: edited(edit) });

const UPDATE = 'PATCH /tasks/{id}';

/** What is changed, how, and what has to be said about it. */
const breaking: [title: string, edit: Edit, message: string][] = [
  ['a path', { at: ['paths', '/health'] }, 'GET /health: is gone'],
  ['an operation', { at: operation }, `${UPDATE}: is gone`],
  [
    "the name of the SDK's method",
    { at: [...operation, 'operationId'], to: 'changeTask' },
    `${UPDATE}: operationId was updateTask, is changeTask`,
  ],
  [
    'a problem code',
    { at: [...operation, 'x-problem-codes', 0] },
    `${UPDATE}: problem not_found is gone`,
  ],
  [
    'authentication where there was none',
    { at: ['paths', '/health', 'get', 'security'], to: [{ token: [] }] },
    'GET /health: asks for authentication now',
  ],
  [
    'a way to authenticate',
    { at: [...operation, 'security', 1] },
    `${UPDATE}: no longer accepts {"cookie":[]}`,
  ],
  [
    'a role that is asked for',
    { at: [...operation, 'security', 0, 'token'], to: ['admin'] },
    `${UPDATE}: no longer accepts {"token":[]}`,
  ],
  [
    'a parameter',
    { at: [...operation, 'parameters', 0] },
    `${UPDATE}: query parameter limit is gone`,
  ],
  [
    'a parameter that becomes required',
    { at: [...operation, 'parameters', 0, 'required'], to: true },
    `${UPDATE}: query parameter limit is now required`,
  ],
  [
    'a new parameter that is required',
    { at: [...operation, 'parameters', 2], to: { in: 'header', name: 'x', required: true } },
    `${UPDATE}: header parameter x is now required`,
  ],
  [
    'the limit of a parameter',
    { at: [...operation, 'parameters', 0, 'schema', 'maximum'], to: 99 },
    `${UPDATE}: query parameter limit: maximum was 100, is 99`,
  ],
  ['a body', { at: [...operation, 'requestBody'] }, `${UPDATE}: body: application/json is gone`],
  [
    'a body that becomes required',
    { at: [...operation, 'requestBody', 'required'], to: true },
    `${UPDATE}: body is now required`,
  ],
  ['a field to send', { at: bodyField('note') }, `${UPDATE}: body.note: is gone`],
  [
    'a field that becomes required',
    { at: [...body, 'required'], to: ['title', 'note'] },
    `${UPDATE}: body.note: is now required`,
  ],
  [
    'a type to send',
    { at: bodyField('note', 'type'), to: 'string' },
    `${UPDATE}: body.note: no longer accepts null`,
  ],
  [
    'a number that has to be an integer',
    { at: bodyField('count', 'type'), to: 'integer' },
    `${UPDATE}: body.count: no longer accepts number`,
  ],
  [
    'a value to send',
    { at: bodyField('colour', 'enum'), to: ['red'] },
    `${UPDATE}: body.colour: no longer accepts green`,
  ],
  [
    'values where all were free',
    { at: bodyField('contact', 'enum'), to: ['mail'] },
    `${UPDATE}: body.contact: no longer accepts other values`,
  ],
  [
    'a constant where all were free',
    { at: bodyField('contact', 'const'), to: 'mail' },
    `${UPDATE}: body.contact: no longer accepts other values`,
  ],
  [
    'an upper limit',
    { at: bodyField('title', 'maxLength'), to: 49 },
    `${UPDATE}: body.title: maxLength was 50, is 49`,
  ],
  [
    'a lower limit',
    { at: bodyField('title', 'minLength'), to: 2 },
    `${UPDATE}: body.title: minLength was 1, is 2`,
  ],
  [
    'a limit where there was none',
    { at: bodyField('contact', 'maxLength'), to: 1000 },
    `${UPDATE}: body.contact: maxLength was none, is 1000`,
  ],
  [
    'a pattern',
    { at: bodyField('contact', 'pattern'), to: '@' },
    `${UPDATE}: body.contact: pattern was none, is @`,
  ],
  [
    'a format to send',
    { at: bodyField('contact', 'format'), to: 'email' },
    `${UPDATE}: body.contact: format was none, is email`,
  ],
  [
    'the type of items to send',
    { at: bodyField('tags', 'items', 'type'), to: 'integer' },
    `${UPDATE}: body.tags[]: no longer accepts string`,
  ],
  [
    'the type of further properties',
    { at: bodyField('extra', 'additionalProperties', 'type'), to: 'string' },
    `${UPDATE}: body.extra.*: no longer accepts number`,
  ],
  [
    'further properties',
    { at: [...body, 'additionalProperties'], to: false },
    `${UPDATE}: body: further properties are no longer accepted`,
  ],
  [
    'an alternative to send',
    { at: bodyField('owner', 'anyOf', 1) },
    `${UPDATE}: body.owner: no longer accepts null`,
  ],
  [
    'a field of a shared schema',
    { at: [...owner, 'required'], to: ['name', 'next'] },
    `${UPDATE}: body.owner.next: is now required`,
  ],
  ['an answer', { at: [...operation, 'responses', '200'] }, `${UPDATE}: 200 is gone`],
  [
    'a new answer that is no problem',
    { at: [...operation, 'responses', '202'], to: {} },
    `${UPDATE}: 202 is a new answer`,
  ],
  [
    "an answer's media type",
    { at: [...operation, 'responses', '200', 'content'], to: { 'text/plain': {} } },
    `${UPDATE}: 200: application/json is gone`,
  ],
  ['a field that clients get', { at: taskField('note') }, `${UPDATE}: 200.note: is gone`],
  [
    'a field that may be missing now',
    { at: [...task, 'required'], to: ['id'] },
    `${UPDATE}: 200.title: may now be missing`,
  ],
  [
    'a type that clients get',
    { at: taskField('note', 'type'), to: ['string', 'null'] },
    `${UPDATE}: 200.note: may now be null`,
  ],
  [
    'a value that clients get',
    { at: taskField('status', 'enum'), to: ['open', 'done', 'late'] },
    `${UPDATE}: 200.status: may now be late`,
  ],
  [
    'values that become free',
    { at: taskField('status', 'enum') },
    `${UPDATE}: 200.status: may now be other values`,
  ],
  [
    'a value of an open list',
    { at: taskField('kind', 'x-extensible-enum'), to: ['chore'] },
    `${UPDATE}: 200.kind: gift is gone`,
  ],
  [
    'a format that clients get',
    { at: taskField('id', 'format') },
    `${UPDATE}: 200.id: format was uuid, is none`,
  ],
  [
    'a field of a schema behind allOf',
    { at: [...owner, 'properties', 'name'] },
    `${UPDATE}: 200.owner.name: is gone`,
  ],
  [
    'an alternative that clients get',
    { at: taskField('result', 'anyOf', 2), to: { type: 'null' } },
    `${UPDATE}: 200.result: may now be null`,
  ],
  [
    'the type of further properties that clients get',
    { at: taskField('extra', 'additionalProperties', 'type'), to: 'number' },
    `${UPDATE}: 200.extra.*: may now be number`,
  ],
];

const harmless: [title: string, edit: Edit][] = [
  ['a new path', { at: ['paths', '/more'], to: { get: { operationId: 'getMore' } } }],
  ['a new operation', { at: ['paths', '/health', 'head'], to: { operationId: 'headHealth' } }],
  ['texts', { at: [...operation, 'summary'], to: 'Another one' }],
  ['a new problem code', { at: [...operation, 'x-problem-codes', 2], to: 'forbidden' }],
  ['a new problem', { at: [...operation, 'responses', '409'], to: {} }],
  ['one status of a problem less', { at: [...operation, 'responses', '404'] }],
  ['no more authentication', { at: [...operation, 'security'], to: [] }],
  ['a further way to authenticate', { at: [...operation, 'security', 2], to: { key: [] } }],
  [
    'a new parameter that is not required',
    { at: [...operation, 'parameters', 2], to: { in: 'query', name: 'x' } },
  ],
  [
    'a parameter that is no longer required',
    { at: [...operation, 'parameters', 1, 'required'], to: false },
  ],
  ['a new field to send', { at: bodyField('more'), to: { type: 'string' } }],
  ['a field that is no longer required', { at: [...body, 'required'], to: [] }],
  ['a further type to send', { at: bodyField('contact', 'type'), to: ['string', 'null'] }],
  ['a further value to send', { at: bodyField('colour', 'enum'), to: ['red', 'green', 'blue'] }],
  ['any value to send', { at: bodyField('colour', 'enum') }],
  ['a larger limit', { at: bodyField('title', 'maxLength'), to: 51 }],
  ['a lower limit from below', { at: bodyField('title', 'minLength'), to: 0 }],
  ['no limit', { at: bodyField('title', 'maxLength') }],
  ['another pattern of the same format', { at: bodyField('day', 'pattern'), to: '^2' }],
  ['a further alternative to send', { at: bodyField('owner', 'anyOf', 2), to: { type: 'string' } }],
  ['a new field that clients get', { at: taskField('more'), to: { type: 'string' } }],
  ['a field that is always there now', { at: [...task, 'required'], to: ['id', 'title', 'note'] }],
  ['an integer where clients expect a number', { at: taskField('count', 'type'), to: 'integer' }],
  ['one value less to get', { at: taskField('status', 'enum'), to: ['open'] }],
  ['a new value of an open list', { at: taskField('kind', 'x-extensible-enum', 2), to: 'party' }],
  ['a longer text to get', { at: taskField('title', 'maxLength'), to: 500 }],
  ['one alternative less to get', { at: taskField('result', 'anyOf', 1) }],
  ['no further properties to get', { at: taskField('extra', 'additionalProperties'), to: false }],
];

describe('What breaks clients', () => {
  for (const [title, edit, message] of breaking) {
    test(`${title}: ${message}`, () => {
      assert.ok(breaksOf(edit).includes(message), breaksOf(edit).join('\n'));
    });
  }
});

describe('What harms nobody', () => {
  for (const [title, edit] of harmless) {
    test(title, () => assert.deepEqual(breaksOf(edit), []));
  }

  test('the document itself, all of whose keywords are understood', () => {
    const document = JSON.parse(readFileSync(documentFile, 'utf8')) as Json;
    assert.deepEqual(findBreakingChanges({ released: document, current: document }), []);
  });
});

test('A keyword whose meaning for clients is not known stops the comparison', () => {
  const edit = { at: bodyField('tags', 'uniqueItems'), to: true };
  assert.throws(() => breaksOf(edit), /does not compare the keyword uniqueItems/);
});
