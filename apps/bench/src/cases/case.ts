import type pg from 'pg';
import type { Accounts } from '../accounts.ts';
import type { Contestant } from '../contestants/contestant.ts';
import type { Measurement } from '../load/interleave.ts';
import type { Scale } from '../scale.ts';

/** What every case finds ready. */
export interface Bench {
  readonly scale: Scale;
  readonly admin: pg.Client;
  readonly accounts: Accounts;
  readonly contestants: readonly Contestant[];
}

/** Something that is measured, known by its id. */
export interface Case {
  readonly id: string;
  readonly title: string;
  /** Roughly, to say how long it will still take. */
  readonly expectedSeconds: number;
  run(bench: Bench): Promise<CaseResult>;
}

export type CaseResult = Comparison;

/** The same work done by every contestant. */
export interface Comparison {
  readonly kind: 'comparison';
  readonly unit: 'ms' | 'requests/s';
  readonly measurements: readonly Measurement[];
}
