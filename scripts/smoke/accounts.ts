import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import type { RindApi } from '../../packages/sdk/dist/index.js';

import { ExpectedError } from '../expected-error.ts';
import { dataOf } from './answers.ts';

export interface Credentials {
  email: string;
  password: string;
}

/** Always the same two, so that signing in again adds no session and is not announced as a new device. */
const devices = {
  writer: { id: '5e0c1a5e-0000-4000-8000-000000000001', name: 'Smoke test, pushes' },
  reader: { id: '5e0c1a5e-0000-4000-8000-000000000002', name: 'Smoke test, listens' },
};
type Role = keyof typeof devices;

const HINT = 'Name an account in SMOKE_EMAIL and SMOKE_PASSWORD, see --help.';

/** Mails to this address are accepted and seen by nobody; Resend has it for tests. */
export function throwAway(): Credentials {
  return { email: `delivered+smoke-${randomUUID()}@resend.dev`, password: randomUUID() };
}

/** @returns an access token */
export async function signUp(
  api: RindApi,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<string> {
  const body = { ...credentials, displayName: 'Smoke test', device: devices.writer };
  const answer = await api.register({ body, signal });
  if (answer.response?.status === 403) {
    throw new ExpectedError(`Nobody may register at this server. ${HINT}`);
  }
  const result = dataOf(answer);
  if ('verificationRequired' in result) {
    throw new ExpectedError(
      `This server wants ${credentials.email}, which stays there, to be verified first. ${HINT}`,
    );
  }
  return tokenOf(result);
}

/** @returns an access token */
export async function signIn(
  api: RindApi,
  credentials: Credentials,
  role: Role,
  signal: AbortSignal,
): Promise<string> {
  const body = { ...credentials, device: devices[role] };
  const result = dataOf(await api.login({ body, signal }));
  if ('mfaRequired' in result) throw new ExpectedError('The account has a second factor.');
  return tokenOf(result);
}

/** Waits for as long as a rate limit asks: this counts as the sign-ins before it do. */
export async function deleteUser(device: RindApi, signal: AbortSignal): Promise<void> {
  for (;;) {
    const answer = await device.deleteMe({ body: {}, signal });
    if (answer.response?.status !== 429) return dataOf(answer);
    const seconds = Number(answer.response.headers.get('Retry-After')) || 1;
    await delay(seconds * 1000, undefined, { signal });
  }
}

function tokenOf({ accessToken }: { accessToken?: string }): string {
  if (accessToken === undefined) throw new ExpectedError('There is no access token in the answer');
  return accessToken;
}
