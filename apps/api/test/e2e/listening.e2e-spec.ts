import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, Server } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { listenEverywhere } from '../../src/listen.js';
import { ApiProcess } from '../support/api-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const MAIN = path.join(import.meta.dirname, '../../dist/main.js');

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(() => void jest.restoreAllMocks());
afterAll(() => database.drop());

async function hasIpv6(): Promise<boolean> {
  const server = createServer().listen(0, '::1');
  return once(server, 'listening').then(
    () => Boolean(server.close()),
    () => false,
  );
}

describe('The API', () => {
  test('listens on IPv4 and on IPv6, and shows addresses of IPv4 as such', async () => {
    const api = await ApiProcess.start({ DATABASE_URL: database.url });
    const { port } = new URL(api.url);
    const hosts = ['127.0.0.1', ...((await hasIpv6()) ? ['[::1]'] : [])];
    for (const host of hosts) {
      const { status } = await fetch(`http://${host}:${port}/api/v1/users/me`);
      expect([host, status]).toEqual([host, 401]);
    }
    expect(await api.stop()).toBe(0);
    expect(api.output).toContain('"ip":"127.0.0.1"');
    expect(api.output).not.toContain('::ffff:');
  });

  test('says at its start which variables it does not read, and starts', async () => {
    const api = await ApiProcess.start({ DATABASE_URL: database.url, RATE_LIMIT_ANON: '5' });
    await api.stop();
    expect(api.output).toContain(
      'RATE_LIMIT_ANON is not read: is RATE_LIMIT_ANON_PER_MINUTE meant?',
    );
  });
});

test('a port that is in use is told in one sentence, and the exit code is 1', async () => {
  const other = createServer().listen(0);
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const started = promisify(execFile)(process.execPath, [MAIN], {
    env: { PATH: process.env['PATH'], PORT: String(port), DATABASE_URL: database.url },
  });
  await expect(started).rejects.toMatchObject({
    code: 1,
    stdout: expect.not.stringContaining('EADDRINUSE'),
    stderr: `Port ${port} is in use by another program: end that one, or set PORT.\n`,
  });
  other.close();
});

test.each(['main.js', 'migrate.js'])(
  '%s says which Node it needs under an older one',
  async (entry) => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } })`;
    const started = promisify(execFile)(process.execPath, [
      '--import',
      `data:text/javascript,${encodeURIComponent(pretend)}`,
      path.join(import.meta.dirname, '../../dist', entry),
    ]);
    await expect(started).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Rind needs Node.js 24 or newer; this is 20.20.2. npm start brings its own.\n',
    });
  },
);

describe('listenEverywhere', () => {
  test('takes IPv4 where there is no IPv6', async () => {
    jest.spyOn(Server.prototype, 'listen').mockImplementationOnce(function (this: Server) {
      const error = Object.assign(new Error('no IPv6'), { code: 'EAFNOSUPPORT' });
      process.nextTick(() => this.emit('error', error));
      return this;
    });
    const listen = jest.fn<(port: number, host: string) => Promise<void>>();
    await listenEverywhere({ listen }, 0);
    expect(listen.mock.calls).toEqual([[0, '0.0.0.0']]);
  });
});
