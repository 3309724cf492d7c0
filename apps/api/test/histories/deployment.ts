import type { Pool } from 'pg';
import type { Account } from '../support/test-app.js';
import type { TcpProxy } from '../support/tcp-proxy.js';

/** What histories are played against: instances of the API with wrong clocks, on one database. */
export interface Deployment {
  /** Origin of each instance. */
  readonly urls: readonly string[];
  /** Between the instances and their database. */
  readonly wire: TcpProxy;
  /** Reads and changes the database behind the API's back. */
  readonly sql: Pool;
  signUp(): Promise<Account>;
  /** Takes the database away from the instances; resolves when it is back. */
  interrupt(how: Interruption): Promise<void>;
  stop(): Promise<void>;
}

/** A server that is stopped ends its sessions; one that crashes has to recover from its log. */
export type Interruption = 'restart' | 'crash';

/** Seven minutes apart. Tokens live longer than that. */
export const CLOCK_OFFSETS_MS = [4 * 60_000, -3 * 60_000] as const;

/** Broken requests and lost connections are what happens here on purpose. */
export const QUIET = { LOG_LEVEL: 'silent' };
