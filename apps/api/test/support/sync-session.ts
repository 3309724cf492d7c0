import type { Problem, PullResult, PushResult } from '@rind/contracts';
import { expect } from '@jest/globals';
import type { Account, TestApp } from './test-app.js';

export type Row = { id: string } & Record<string, unknown>;
export type Changes = Record<
  string,
  { created?: unknown[]; updated?: unknown[]; deleted?: unknown[] }
>;

/** A signed-in account with a cursor, as a device has it, for tests that write requests by hand. */
export class SyncSession {
  private constructor(
    readonly rind: TestApp,
    readonly account: Account,
    public cursor: number,
  ) {}

  /** Has made its first pull. */
  static async open(rind: TestApp, account?: Account): Promise<SyncSession> {
    const session = new SyncSession(rind, account ?? (await rind.signUp()), 0);
    await session.pull();
    return session;
  }

  /** Pulls from the cursor and moves it. */
  async pull(query = `lastPulledAt=${this.cursor}`) {
    const { status, body } = await this.rind.request<PullResult>('GET', `/sync/pull?${query}`, {
      token: this.account.accessToken,
    });
    expect(status).toBe(200);
    this.cursor = body.timestamp;
    const rows = (table: string) => body.changes[table]?.updated as Row[];
    const deleted = (table: string) => body.changes[table]?.deleted as string[];
    return { body, rows, deleted };
  }

  push(changes: Changes, lastPulledAt: unknown = this.cursor) {
    return this.rind.request<PushResult & Problem>('POST', '/sync/push', {
      token: this.account.accessToken,
      body: { changes, lastPulledAt },
    });
  }

  /** Pushes what must succeed, then pulls. */
  async write(changes: Changes) {
    const { status, body } = await this.push(changes);
    expect([status, body.errors]).toEqual([200, undefined]);
    return this.pull();
  }
}
