import { describe, expect, test } from '@jest/globals';
import { JsonLogger } from './json-logger.js';

type Line = Record<string, unknown>;

/** The lines that a logger of this level writes. */
function linesOf(
  level: ConstructorParameters<typeof JsonLogger>[0]['logLevel'],
  log: (logger: JsonLogger) => void,
): Line[] {
  const lines: Line[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Line);
  log(new JsonLogger({ logLevel: level }, { write }));
  return lines;
}

const lineOf = (log: (logger: JsonLogger) => void): Line | undefined => linesOf('trace', log)[0];

describe('a line of the log', () => {
  test('is one line of JSON: time in UTC, level by name, context and text', () => {
    const written: string[] = [];
    const destination = { write: (text: string) => void written.push(text) };
    new JsonLogger({ logLevel: 'info' }, destination).log('First\nsecond', 'Context');
    expect(written.join('')).toMatch(/^\{[^\n]*\}\n$/);
    expect(JSON.parse(written.join(''))).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      context: 'Context',
      msg: 'First\nsecond',
    });
  });

  test('has the fields of an object beside its text', () => {
    expect(
      lineOf((logger) => logger.warn({ userId: 'u1', count: 2 }, 'Something', 'Context')),
    ).toMatchObject({
      level: 'warn',
      context: 'Context',
      userId: 'u1',
      count: 2,
      msg: 'Something',
    });
    const withoutText = lineOf((logger) => logger.log({ userId: 'u1' }, 'Context'));
    expect(withoutText).toMatchObject({ context: 'Context', userId: 'u1' });
    expect(withoutText).not.toHaveProperty('msg');
  });

  test('has an error with its stack, its cause and its code', () => {
    const cause = Object.assign(new Error('connection lost'), { code: '57P01' });
    const error = new TypeError('Cannot save', { cause });
    const expected = {
      type: 'TypeError',
      message: expect.stringContaining('Cannot save'),
      stack: expect.stringMatching(/Cannot save[^]*json-logger\.spec[^]*connection lost/),
    };
    expect(lineOf((logger) => logger.error(error, 'Context'))).toMatchObject({
      level: 'error',
      context: 'Context',
      err: expected,
      msg: 'Cannot save',
    });
    expect(
      lineOf((logger) => logger.error({ err: error, requestId: 'r1' }, 'Request failed', 'C')),
    ).toMatchObject({
      err: expected,
      requestId: 'r1',
      msg: 'Request failed',
    });
    expect(lineOf((logger) => logger.error({ err: cause }))).toMatchObject({
      err: { code: '57P01' },
    });
  });

  test.each([[undefined], [null], [7], [false], [['a']]])('can be made of %j', (message) => {
    expect(linesOf('info', (logger) => logger.log(message))).toHaveLength(1);
  });

  test('can be made of what refers to itself', () => {
    const loop: Record<string, unknown> = { name: 'loop' };
    loop['self'] = loop;
    expect(JSON.stringify(lineOf((logger) => logger.log(loop)))).toContain('[Circular]');
  });
});

describe('secrets', () => {
  const names = [
    'accessToken',
    'authorization',
    'cookie',
    'password',
    'passwordHash',
    'refreshSalt',
    'refreshToken',
    'token',
  ];

  test.each(names)('%s is replaced, at the top and up to two levels below', (name) => {
    const secret = { [name]: 'hunter2', kept: 'kept' };
    const line = lineOf((logger) =>
      logger.log({ ...secret, one: { ...secret, two: secret } }, 'Text', 'C'),
    );
    const replaced = { [name]: '[Redacted]', kept: 'kept' };
    expect(line).toMatchObject({ ...replaced, one: { ...replaced, two: replaced } });
    expect(JSON.stringify(line)).not.toContain('hunter2');
  });

  test('they are replaced in what an error carries, too', () => {
    const error = Object.assign(new Error('Refused'), {
      headers: { authorization: 'hunter2' },
      token: 'hunter2',
    });
    const line = lineOf((logger) => logger.error({ err: error }, 'Text', 'C'));
    expect(JSON.stringify(line)).not.toContain('hunter2');
  });
});

describe('the level', () => {
  const all = (logger: JsonLogger) => {
    logger.verbose('1');
    logger.debug('2');
    logger.log('3');
    logger.warn('4');
    logger.error('5');
    logger.fatal('6');
  };
  const ordered = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

  test.each(ordered)('%s hides what is below it', (level) => {
    const shown = linesOf(level, all).map((line) => line['level']);
    expect(shown).toEqual(ordered.slice(ordered.indexOf(level)));
  });

  test('silent hides everything', () => {
    expect(linesOf('silent', all)).toEqual([]);
  });
});
