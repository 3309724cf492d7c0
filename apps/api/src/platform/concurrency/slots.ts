/** A counted number of places; who finds none waits in line. */
export class Slots {
  private readonly waiting: Array<() => void> = [];
  private taken = 0;

  constructor(private readonly size: number) {}

  get isIdle(): boolean {
    return this.taken === 0;
  }

  /**
   * Resolves with the function that gives the place back; further calls of it do nothing.
   *
   * @throws the signal's reason when it is aborted first: then no place is taken
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.taken < this.size) this.taken += 1;
    else await this.wait(signal);
    return this.givingBack();
  }

  /** Resolves when somebody hands over a place. */
  private wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.waiting.splice(this.waiting.indexOf(enter), 1);
        reject(signal.reason as Error);
      };
      this.waiting.push(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  private givingBack(): () => void {
    let isMine = true;
    return () => {
      if (!isMine) return;
      isMine = false;
      const next = this.waiting.shift();
      if (next) next();
      else this.taken -= 1;
    };
  }
}
