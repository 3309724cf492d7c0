import type { Account } from '../accounts.ts';
import type { Batch } from '../records.ts';

export type ContestantName = 'limit' | 'api' | 'naive';

/** One way to do the work. */
export interface Contestant {
  readonly name: ContestantName;
  connect(account: Account): Promise<Client>;
}

/** One connection that acts for one account. */
export interface Client {
  preparePull(pull: Pull): Operation;
  preparePush(push: Push): Operation;
  close(): Promise<void>;
}

export interface Pull {
  readonly cursor: number;
  /** Live rows that the answer must have. */
  readonly rows: number;
}

export interface Push {
  readonly cursor: number;
  readonly batch: Batch;
}

/** Work whose bytes are ready to be sent. */
export interface Operation {
  /**
   * Does it once and looks at what came back, so that nobody is fast by being wrong.
   *
   * @throws WrongAnswer
   */
  verify(): Promise<void>;
  /** Does it; no answer may differ from the verified one in what can be seen at no cost. */
  run(): Promise<void>;
}

export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer';
}
