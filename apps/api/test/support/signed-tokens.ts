import jwt from 'jsonwebtoken';
import { SigningKeys } from '../../src/auth/signing-keys.js';
import type { Account, TestApp } from './test-app.js';

/** The account's access token with other claims, signed by the server's own key. */
export function signLike(
  rind: TestApp,
  { accessToken }: Pick<Account, 'accessToken'>,
  change: jwt.JwtPayload,
): string {
  const { id, key } = rind.app.get(SigningKeys).current;
  const claims = jwt.decode(accessToken) as jwt.JwtPayload;
  return jwt.sign({ ...claims, ...change }, key, { algorithm: 'HS256', keyid: id });
}

/** Claims of tokens that are genuine, and good for nothing; with the code that they are refused with. */
export const worthlessClaims: ReadonlyArray<
  [name: string, change: (stranger: Account) => jwt.JwtPayload, code: string]
> = [
  ['has expired', () => ({ exp: Math.floor(Date.now() / 1000) - 1 }), 'access_token_expired'],
  ['names a session that never was', () => ({ sid: crypto.randomUUID() }), 'session_ended'],
  ["names another user's session", ({ session }) => ({ sid: session.id }), 'session_ended'],
  ['names another user', ({ id }) => ({ sub: id }), 'session_ended'],
];
