import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AuditService } from '../../src/audit/audit.service.js';
import { AddressProofsService } from '../../src/auth/address-proofs.service.js';
import { Database } from '../../src/platform/database/database.js';
import { TestApp } from '../support/test-app.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const origin = { ip: '192.0.2.7', userAgent: 'curl/8', requestId: 'request-7' };

let rind: TestApp;

beforeAll(async () => {
  rind = await TestApp.start();
});
afterAll(() => rind.stop());

async function eventsOf(userId: string) {
  const { rows } = await rind.sql.query(
    'SELECT * FROM audit_events WHERE user_id = $1 ORDER BY id',
    [userId],
  );
  return rows;
}

describe('Audit events', () => {
  test('tell of registration and sign-in, with where they came from', async () => {
    const account = await rind.signUp();
    const { email } = account.user;
    const headers = { 'user-agent': 'Rind/1.0', 'x-request-id': 'sign-in-1' };
    const body = { email, password: account.password };
    await rind.request('POST', '/auth/login', { body, headers });

    const [registered, first, second] = await eventsOf(account.id);
    expect(registered).toMatchObject({
      action: 'registered',
      subject_id: expect.stringMatching(UUID),
    });
    expect(first).toMatchObject({ action: 'signed_in', session_id: account.session.id });
    expect(second).toMatchObject({
      action: 'signed_in',
      reason: 'password',
      subject_id: registered.subject_id,
      ip: '127.0.0.1',
      user_agent: 'Rind/1.0',
      request_id: 'sign-in-1',
    });
    expect(registered.subject_id).not.toBe(account.id);
  });

  test('tell of refused sign-ins and why', async () => {
    const account = await rind.signUp();
    const { email } = account.user;
    await rind.request('POST', '/auth/login', { body: { email, password: 'wrong' } });
    await rind.sql.query('UPDATE users SET is_active = false WHERE id = $1', [account.id]);
    await rind.request('POST', '/auth/login', { body: { email, password: account.password } });

    const refusals = (await eventsOf(account.id)).filter(
      ({ action }) => action === 'sign_in_refused',
    );
    expect(refusals.map(({ reason }) => reason)).toEqual([
      'invalid_credentials',
      'account_deactivated',
    ]);
  });

  test('keep nothing of an address that nobody has', async () => {
    const headers = { 'x-request-id': 'nobody-1' };
    const body = { email: 'nobody@example.com', password: 'whatever it is' };
    await rind.request('POST', '/auth/login', { body, headers });

    const { rows } = await rind.sql.query(
      `SELECT * FROM audit_events WHERE request_id = 'nobody-1'`,
    );
    expect(rows).toMatchObject([{ action: 'sign_in_refused', user_id: null, subject_id: null }]);
    expect(JSON.stringify(rows)).not.toMatch(/nobody@|whatever/);
  });

  test('are kept exactly when what they tell of is', async () => {
    const { id: userId } = await rind.signUp();
    const [database, audit] = [rind.app.get(Database), rind.app.get(AuditService)];
    const rolledBack = database.transaction(async () => {
      await audit.record({ action: 'password_changed', userId }, origin);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');

    expect((await eventsOf(userId)).map(({ action }) => action)).not.toContain('password_changed');
  });

  test('tell of wrong passwords on a signed-in device', async () => {
    const { id, accessToken: token, session } = await rind.signUp();
    const guess = { password: 'a wrong password' };
    const refused = await rind.request('DELETE', '/users/me', { token, body: guess });
    expect(refused.body.code).toBe('reauthentication_failed');
    expect((await eventsOf(id)).at(-1)).toMatchObject({
      action: 'reauthentication_refused',
      reason: 'reauthentication_failed',
      session_id: session.id,
      ip: '127.0.0.1',
    });
  });

  test('tell what the first proof of an address takes, and where it came from', async () => {
    const account = await rind.signUp();
    await rind.sql.query(
      `INSERT INTO oauth_identities (id, user_id, provider, subject) VALUES (gen_random_uuid(), $1, 'facebook', 's')`,
      [account.id],
    );
    const proof = { method: 'google', client: origin };
    await rind.app.get(AddressProofsService).prove(account.id, proof);

    const told = (await eventsOf(account.id)).slice(2);
    expect(told.map(({ action, reason }) => [action, reason])).toEqual([
      ['email_verified', 'google'],
      ['password_removed', 'google'],
      ['session_ended', 'credentials_changed'],
      ['identity_unlinked', 'google'],
    ]);
    expect(told.at(-1)).toMatchObject({ detail: { provider: 'facebook' } });
    for (const event of told) {
      expect(event).toMatchObject({
        ip: origin.ip,
        user_agent: origin.userAgent,
        request_id: origin.requestId,
      });
    }
  });

  test('lose what is personal with the account', async () => {
    const [{ id: userId }, { id: actorId }] = [await rind.signUp(), await rind.signUp()];
    const audit = rind.app.get(AuditService);
    const detail = { roles: ['admin'] };
    await audit.record({ action: 'roles_changed', userId, actorId, detail }, origin);
    const subject = (await eventsOf(userId))[0].subject_id;

    await rind.sql.query('DELETE FROM users WHERE id = $1', [actorId]);
    const personal = { ip: null, user_agent: null, request_id: null };
    expect((await eventsOf(userId)).at(-1)).toMatchObject({ ...personal, actor_id: null, detail });

    await rind.sql.query('DELETE FROM users WHERE id = $1', [userId]);
    const { rows } = await rind.sql.query('SELECT * FROM audit_events WHERE subject_id = $1', [
      subject,
    ]);
    expect(rows).toHaveLength(3);
    for (const row of rows) expect(row).toMatchObject({ ...personal, user_id: null, detail: null });
  });
});
