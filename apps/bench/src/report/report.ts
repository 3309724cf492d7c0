import type { SuiteName } from '../suite.ts';
import type { CaseResult, Comparison, Table } from '../cases/case.ts';
import type { Machine } from './machine.ts';

interface Titled {
  readonly id: string;
  readonly title: string;
}

export type Result = CaseResult & Titled;

/** Everything that a run found out. */
export interface Report {
  readonly suite: SuiteName;
  readonly machine: Machine;
  readonly results: readonly Result[];
  /** Whether figures mean anything. */
  readonly isSmoke: boolean;
}

export const isComparison = (result: Result): result is Comparison & Titled =>
  result.kind === 'comparison';

export const isTable = (result: Result): result is Table & Titled => result.kind === 'table';

/** What a contestant reached in a comparison; undefined where it did not take part. */
export function medianOf({ measurements }: Comparison, name: string): number | undefined {
  return measurements.find((measurement) => measurement.name === name)?.median;
}
