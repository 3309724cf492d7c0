import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AddressProofsService } from '../../src/auth/address-proofs.service.js';
import { settle } from '../support/notices.js';
import { type Account, TestApp } from '../support/test-app.js';

let rind: TestApp;
let proofs: AddressProofsService;

beforeAll(async () => {
  rind = await TestApp.start();
  proofs = rind.app.get(AddressProofsService);
});
afterAll(() => rind.stop());

const login = ({ user, password }: Account) =>
  rind.request('POST', '/auth/login', { body: { email: user.email, password } });

const getMe = ({ accessToken: token }: Account) =>
  rind.request<{ emailVerified: boolean }>('GET', '/users/me', { token });

describe('The proof of an address', () => {
  test('takes password and sessions from who registered it without one', async () => {
    const squatter = await rind.signUp();
    expect((await getMe(squatter)).body.emailVerified).toBe(false);

    await proofs.prove(squatter.id, { method: 'reset', client: null });

    await settle(rind);
    expect((await getMe(squatter)).status).toBe(401);
    expect(await login(squatter)).toMatchObject({ body: { code: 'invalid_credentials' } });
  });

  test('takes nothing where there was one before', async () => {
    const owner = await rind.signUp();
    await rind.sql.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [owner.id]);

    await proofs.prove(owner.id, { method: 'reset', client: null });

    expect((await getMe(owner)).body.emailVerified).toBe(true);
    expect((await login(owner)).status).toBe(200);
  });
});
