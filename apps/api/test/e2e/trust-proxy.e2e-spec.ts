import { afterAll, describe, expect, test } from '@jest/globals';
import supertest from 'supertest';
import { LogRecorder } from '../support/log-recorder.js';
import { ready } from '../support/ready.js';
import { TestApp } from '../support/test-app.js';

/** The tests call from the loopback: to the API, their own address is that of the nearest proxy. */
const LOOPBACK = '127.0.0.1';

describe('the address of a client', () => {
  const running = new Map<string | undefined, TestApp>();
  let rind: TestApp;
  let log: LogRecorder;

  afterAll(async () => {
    for (const each of running.values()) await each.stop();
  });

  async function start(trustProxy: string | undefined): Promise<TestApp> {
    const env = { RATE_LIMIT_AUTH_PER_MINUTE: '1', ...(trustProxy && { TRUST_PROXY: trustProxy }) };
    rind = running.get(trustProxy) ?? (await TestApp.start({ env }));
    running.set(trustProxy, rind);
    await rind.sql.query('DELETE FROM rate_limits; DELETE FROM users');
    log = new LogRecorder();
    return rind;
  }

  let users = 0;
  const register = (forwardedFor: string | undefined) => {
    users += 1;
    return supertest(rind.url)
      .post('/api/v1/auth/register')
      .set(forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor })
      .send({
        email: `user-${users}@example.com`,
        password: 'correct horse battery',
        displayName: 'User',
      });
  };

  test.each<[setting: string | undefined, header: string | undefined, address: string]>([
    // Nobody is trusted: what the header says is worth nothing.
    [undefined, undefined, LOOPBACK],
    [undefined, '203.0.113.7', LOOPBACK],
    [undefined, '203.0.113.7, 198.51.100.1', LOOPBACK],
    // One proxy: it wrote the last entry, the caller wrote those before.
    ['1', undefined, LOOPBACK],
    ['1', '203.0.113.7', '203.0.113.7'],
    ['1', '10.6.6.6, 203.0.113.7', '203.0.113.7'],
    ['1', '10.6.6.6, 10.7.7.7, 203.0.113.7', '203.0.113.7'],
    // Two proxies: the outer one wrote the last but one.
    ['2', undefined, LOOPBACK],
    ['2', '203.0.113.7, 198.51.100.1', '203.0.113.7'],
    ['2', '10.6.6.6, 203.0.113.7, 198.51.100.1', '203.0.113.7'],
    // Ranges: the first from the right that is not one of ours.
    ['127.0.0.0/8', undefined, LOOPBACK],
    ['127.0.0.0/8', '203.0.113.7', '203.0.113.7'],
    ['127.0.0.0/8', '10.6.6.6, 203.0.113.7', '203.0.113.7'],
    ['127.0.0.0/8,198.51.100.0/24', '10.6.6.6, 203.0.113.7, 198.51.100.1', '203.0.113.7'],
    ['127.0.0.1, ::1/128', '2001:db8::7', '2001:db8::7'],
    // The caller is not in a trusted range.
    ['10.0.0.0/8', '203.0.113.7', LOOPBACK],
  ])('TRUST_PROXY=%s, X-Forwarded-For: %s: it is %s', async (setting, header, address) => {
    const { sql } = await start(setting);
    await register(header).expect(201);
    const { rows } = await sql.query('SELECT ip FROM sessions');
    expect(rows).toEqual([{ ip: address }]);
    expect(log.find('Request answered')).toMatchObject([{ ip: address }]);

    // The budget of this address is used up, and that of another one is not.
    await register(header).expect(429);
    const { rows: budgets } = await sql.query<{ key: string }>(
      `SELECT key FROM rate_limits WHERE key LIKE 'auth:%'`,
    );
    const key = address === '2001:db8::7' ? '2001:db8::/64' : address;
    expect(budgets).toEqual([{ key: `auth:${key}` }]);
  });

  test('behind one proxy, what a caller writes before its entry changes nothing', async () => {
    await start('1');
    await register('1.1.1.1, 203.0.113.7').expect(201);
    await register('2.2.2.2, 203.0.113.7').expect(429);
    await register('2.2.2.2, 3.3.3.3, 203.0.113.7').expect(429);
    await register('203.0.113.7, 203.0.113.8').expect(201);
  });

  test('nothing trusted: a forged header is no new budget', async () => {
    await start(undefined);
    await register('203.0.113.7').expect(201);
    await register('203.0.113.8').expect(429);
    await register(undefined).expect(429);
  });

  test.each([['1'], ['127.0.0.1/32']])(
    'TRUST_PROXY=%s: what is no address shares one budget, and breaks nothing',
    async (setting) => {
      await start(setting);
      await register("'; DROP TABLE users; --").expect(201);
      await register('<script>').expect(429);
    },
  );

  describe('a proxy that TRUST_PROXY does not cover', () => {
    const readiness = async () => (await ready(rind)).body;
    /** The warning is given once in the life of a process. */
    async function restart(setting?: string): Promise<void> {
      await running.get(setting)?.stop();
      running.delete(setting);
      await start(setting);
    }
    const ask = async (times: number, headers: Record<string, string> = {}) => {
      for (let count = 0; count < times; count += 1) {
        await supertest(rind.url).get('/api/v1/users/me').set(headers).expect(401);
      }
    };
    const forwarded = { 'x-forwarded-for': '203.0.113.7' };
    const warnings = () => log.lines.filter(({ context }) => context === 'ProxyWatch');
    const degraded = {
      status: 'degraded',
      checks: { proxy: { status: 'degraded', detail: expect.stringContaining('TRUST_PROXY') } },
    };

    test.each<[setting: string | undefined, name: string, value: string]>([
      [undefined, 'x-forwarded-for', '203.0.113.7'],
      [undefined, 'forwarded', 'for=203.0.113.7'],
      ['10.0.0.0/8', 'x-forwarded-for', '203.0.113.7'],
    ])('TRUST_PROXY=%s, %s: one warning, and ready is degraded', async (setting, name, value) => {
      await restart(setting);
      expect(await readiness()).toMatchObject({
        status: 'ok',
        checks: { proxy: { status: 'ok' } },
      });
      await ask(20, { [name]: value });
      expect(warnings()).toMatchObject([
        { level: 'warn', msg: expect.stringContaining('TRUST_PROXY') },
      ]);
      expect(await readiness()).toMatchObject(degraded);
      // Whoever watches over the process asks past the proxy.
      for (let count = 0; count < 30; count += 1) await readiness();
      expect(await readiness()).toMatchObject(degraded);
    });

    test('is not a stranger who writes the header among others who do not', async () => {
      await restart();
      await ask(11);
      await ask(10, forwarded);
      expect(await readiness()).toMatchObject({ status: 'ok' });
      expect(warnings()).toEqual([]);
    });

    test('is forgotten when requests come without it', async () => {
      await restart();
      await ask(10, forwarded);
      expect(await readiness()).toMatchObject(degraded);
      await ask(11);
      expect(await readiness()).toMatchObject({ status: 'ok' });
      // Only the latest requests count, however many there were before.
      await ask(200);
      await ask(60, forwarded);
      expect(await readiness()).toMatchObject(degraded);
      expect(warnings()).toHaveLength(1);
    });

    test.each(['1', '127.0.0.1'])('TRUST_PROXY=%s: nothing of that', async (setting) => {
      await start(setting);
      await ask(20, forwarded);
      expect(warnings()).toEqual([]);
      expect((await readiness()).status).toBe('ok');
    });
  });
});
