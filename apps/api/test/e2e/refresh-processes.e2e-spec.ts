import { randomUUID } from 'node:crypto';
import type { AuthResult, Problem } from '@rind/contracts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ApiProcess } from '../support/api-process.js';
import {
  createTestDatabase,
  databaseEnvironment,
  type TestDatabase,
} from '../support/test-database.js';

interface Tokens {
  readonly accessToken: string;
  readonly refreshToken: string;
}

interface Account extends Tokens {
  readonly sessionId: string;
}

/** Two processes of the built API that share nothing but the database, as behind a load balancer. */
describe('refreshing on two processes', () => {
  let database: TestDatabase;
  let sql: pg.Pool;
  let one: ApiProcess;
  let other: ApiProcess;

  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Pool({ connectionString: database.url, max: 2 });
    const environment = {
      ...databaseEnvironment(database),
      LOG_LEVEL: 'error',
      JWT_SECRET: 'a secret of at least thirty-two characters',
      RATE_LIMIT_AUTH_PER_MINUTE: '100000',
    };
    [one, other] = await Promise.all([
      ApiProcess.start(environment),
      ApiProcess.start(environment),
    ]);
  });
  afterAll(async () => {
    await Promise.all([one.stop(), other.stop()]);
    await sql.end();
    await database.drop();
  });

  async function signUp(): Promise<Account> {
    const { body } = await one.request<AuthResult>('POST', '/auth/register', {
      body: {
        email: `${randomUUID()}@example.com`,
        password: 'correct horse battery',
        displayName: 'Ada',
      },
    });
    return { ...tokensOf(body), sessionId: body.session.id };
  }

  const tokensOf = ({ accessToken, refreshToken }: AuthResult): Tokens => ({
    accessToken: accessToken!,
    refreshToken: refreshToken!,
  });

  const refresh = (at: ApiProcess, { refreshToken }: Tokens) =>
    at.request<AuthResult & Problem>('POST', '/auth/refresh', { body: { refreshToken } });

  async function rotate(at: ApiProcess, tokens: Tokens): Promise<Tokens> {
    const { status, body } = await refresh(at, tokens);
    expect(status).toBe(200);
    return tokensOf(body);
  }

  async function use(at: ApiProcess, { accessToken: token }: Tokens): Promise<void> {
    expect((await at.request('GET', '/users/me', { token })).status).toBe(200);
  }

  async function expectRefused(at: ApiProcess, tokens: Tokens, code: string): Promise<void> {
    const { status, body } = await refresh(at, tokens);
    expect([status, body.code]).toEqual([401, code]);
  }

  /** On both, at the latest when the announcement has arrived. */
  async function expectDead(tokens: Tokens): Promise<void> {
    for (const at of [one, other]) {
      await expectRefused(at, tokens, 'refresh_token_invalid');
      const { accessToken: token } = tokens;
      while ((await at.request('GET', '/users/me', { token })).status !== 401);
    }
  }

  /** Moves the times of a session back, as if so much time had passed. */
  const letPass = ({ sessionId }: Account, time: string) =>
    sql.query(
      `UPDATE sessions SET refresh_issued_at = refresh_issued_at - $2::interval,
         created_at = created_at - $2::interval, last_used_at = last_used_at - $2::interval,
         expires_at = expires_at - $2::interval
       WHERE id = $1`,
      [sessionId, time],
    );

  async function endOf({ sessionId }: Account): Promise<unknown> {
    const { rows } = await sql.query(
      `SELECT EXISTS (SELECT FROM sessions WHERE id = $1) AS "isOpen",
              array(SELECT reason FROM audit_events
                    WHERE session_id = $1 AND action = 'session_ended') AS reasons`,
      [sessionId],
    );
    return rows[0];
  }
  const ENDED_BY_REUSE = { isOpen: false, reasons: ['reuse'] };

  test('two at the same moment get the same refresh token, each time', async () => {
    let tokens: Tokens = await signUp();
    for (let round = 0; round < 8; round += 1) {
      const [left, right] = await Promise.all([rotate(one, tokens), rotate(other, tokens)]);
      expect(left.refreshToken).toBe(right.refreshToken);
      await Promise.all([use(other, left), use(one, right)]);
      tokens = round % 2 === 0 ? left : right;
    }
  });

  test('answers lost several times in a row, then two weeks offline: the device goes on', async () => {
    const account = await signUp();
    await use(one, account);
    // That nobody looks at these answers is all that the server can know of their loss.
    for (const at of [one, other, one, other]) await rotate(at, account);
    await letPass(account, '14 days');
    const tokens = await rotate(other, account);
    await use(one, tokens);
    await use(other, await rotate(one, tokens));
  });

  test('a token two generations old ends the session, wherever the others were used', async () => {
    const account = await signUp();
    const second = await rotate(other, account);
    const third = await rotate(one, second);
    await expectRefused(other, account, 'refresh_token_reused');
    expect(await endOf(account)).toEqual(ENDED_BY_REUSE);
    await expectDead(third);
  });

  test('a thief who refreshed and used the access token: found out when the owner comes back', async () => {
    const account = await signUp();
    await use(one, account);
    const stolen = await rotate(one, account);
    await use(one, stolen);
    await letPass(account, '31 seconds');
    await expectRefused(other, account, 'refresh_token_reused');
    // Committed before it was answered.
    expect(await endOf(account)).toEqual(ENDED_BY_REUSE);
    await expectDead(stolen);
  });
});
