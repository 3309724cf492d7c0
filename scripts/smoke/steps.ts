const STEP_MS = 30_000;
/** More than the minute that a rate limit may ask for. */
const CLEAN_UP_MS = 90_000;

/** The step has told why; nothing after it makes sense. */
export class StepFailedError extends Error {
  override name = 'StepFailedError';
}

type Work<Result> = (signal: AbortSignal) => Promise<Result>;

/** Runs what follows one another, and tells of each how long it took or why it failed. */
export class Steps {
  readonly #interruption: AbortSignal;

  constructor(interruption: AbortSignal) {
    this.#interruption = interruption;
  }

  async run<Result>(title: string, work: Work<Result>): Promise<Result> {
    return this.runUnlimited(title, (interruption) =>
      work(AbortSignal.any([interruption, AbortSignal.timeout(STEP_MS)])),
    );
  }

  /** For work that knows its own deadline. */
  async runUnlimited<Result>(title: string, work: Work<Result>): Promise<Result> {
    return timed(title, () => work(this.#interruption));
  }

  /** Also after an interruption. */
  async cleanUp(title: string, work: Work<void>): Promise<void> {
    await timed(title, () => work(AbortSignal.timeout(CLEAN_UP_MS)));
  }
}

async function timed<Result>(title: string, work: () => Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const report = () =>
    `${title.padEnd(16)} ${((performance.now() - startedAt) / 1000).toFixed(2).padStart(7)} s`;
  try {
    const result = await work();
    console.log(`ok      ${report()}`);
    return result;
  } catch (error) {
    console.error(`FAILED  ${report()}  ${describe(error)}`);
    throw new StepFailedError(title, { cause: error });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return /^(Abort|Timeout)Error$/.test(error.name) ? 'it took too long' : error.message;
}
