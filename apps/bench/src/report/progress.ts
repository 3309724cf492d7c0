import type { Case, CaseResult } from '../cases/case.ts';

/** Tells whoever waits what is measured, how far it is and how long it may still take. */
export class Progress {
  private readonly cases: readonly Case[];
  private readonly write: (line: string) => void;
  private done = 0;
  private expectedSeconds = 0;
  private startedMs = 0;

  constructor(cases: readonly Case[], write: (line: string) => void) {
    this.cases = cases;
    this.write = write;
  }

  say(message: string): void {
    this.write(message);
  }

  begin({ id, title }: Case): void {
    if (this.startedMs === 0) this.startedMs = performance.now();
    this.write(`[${this.done + 1}/${this.cases.length}] ${title} (${id})${this.remaining()}`);
  }

  end({ expectedSeconds }: Case, result: CaseResult): void {
    this.done += 1;
    this.expectedSeconds += expectedSeconds;
    for (const line of describe(result)) this.write(`    ${line}`);
  }

  /** What was expected, corrected by how long the cases so far have really taken. */
  private remaining(): string {
    if (this.done === 0) return '';
    const pace = (performance.now() - this.startedMs) / 1000 / this.expectedSeconds;
    const expected = this.cases
      .slice(this.done)
      .reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0);
    const seconds = Math.ceil(expected * pace);
    return seconds < 90
      ? `, about ${seconds} s left`
      : `, about ${Math.ceil(seconds / 60)} min left`;
  }
}

function describe(result: CaseResult): string[] {
  if (result.kind === 'table') return result.rows.map((cells) => cells.join('  '));
  return result.measurements.map(
    ({ name, median, loadShare }) =>
      `${name.padEnd(8)} ${median.toPrecision(4)} ${result.unit}, load ${Math.round(loadShare * 100)} % of a core`,
  );
}
