import type { Bench } from '../bench.ts';
import type { Measurement } from '../load/interleave.ts';

/** Something that is measured, known by its id. */
export interface Case {
  readonly id: string;
  readonly title: string;
  /** Roughly, to say how long it will still take. */
  readonly expectedSeconds: number;
  run(bench: Bench): Promise<CaseResult>;
}

export type CaseResult = Comparison | Table;

/** The same work done by every contestant. */
export interface Comparison {
  readonly kind: 'comparison';
  readonly unit: 'ms' | 'requests/s';
  readonly measurements: readonly Measurement[];
}

/** What is no comparison of contestants. */
export interface Table {
  readonly kind: 'table';
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What targets are checked against, by name. */
  readonly figures: Readonly<Record<string, number>>;
}
