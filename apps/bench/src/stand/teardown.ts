/** What has to be undone at the end, the latest first, however the run ends. */
export class Teardown {
  private readonly steps: Array<() => Promise<unknown>> = [];
  private hasBegun = false;

  /**
   * Called before something is made, or as soon as it is there.
   *
   * @throws Error once the end has begun: an interrupted run must not go on making things
   */
  add(step: () => Promise<unknown>): void {
    if (this.hasBegun) throw new Error('The run is over');
    this.steps.push(step);
  }

  /** Every step is taken, also behind one that fails; then the first failure is thrown. */
  async run(): Promise<void> {
    this.hasBegun = true;
    const failures: unknown[] = [];
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      await step().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}
