const REDRAW_MS = 200;

/** Tells people at a terminal, and logs, how far a backup or a restore has come. */
export interface Progress {
  say(message: string): void;
  /** Within the table that is under way. */
  advance(table: string, rows: number, bytes: number): void;
  finish(table: string, rows: number, bytes: number): void;
}

/** At a terminal one line for each table, which counts; elsewhere, where cron would mail it every night, none. */
export class StreamProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #beganMs = performance.now();
  #toldMs = this.#beganMs;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    // A backup goes on where nobody reads any more what it tells.
    stream.on('error', () => undefined);
  }

  say(message: string): void {
    this.#write(`${message}\n`);
  }

  advance(table: string, rows: number, bytes: number): void {
    const now = performance.now();
    if (!this.#stream.isTTY || now - this.#toldMs < REDRAW_MS) return;
    this.#toldMs = now;
    this.#write(this.#line(table, rows, bytes));
  }

  finish(table: string, rows: number, bytes: number): void {
    if (this.#stream.isTTY) this.#write(`${this.#line(table, rows, bytes)}\n`);
  }

  #line(table: string, rows: number, bytes: number): string {
    const seconds = ((performance.now() - this.#beganMs) / 1000).toFixed(1);
    return `  ${table}: ${rows} rows, ${megabytes(bytes)}, ${seconds} s`;
  }

  /** At a terminal over what a count has left in the line. */
  #write(text: string): void {
    this.#stream.write(this.#stream.isTTY ? `\r\x1b[K${text}` : text);
  }
}

export const silentProgress: Progress = {
  say: () => undefined,
  advance: () => undefined,
  finish: () => undefined,
};

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
