import type { CaseResult } from '../cases/case.ts';
import type { Machine } from './machine.ts';

/** Everything that a run found out. */
export interface Report {
  readonly machine: Machine;
  readonly results: ReadonlyArray<CaseResult & { readonly id: string; readonly title: string }>;
}
