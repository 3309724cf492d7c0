import { END_OF_ROWS, damaged } from './format.ts';

const NEWLINE = '\n';
/** Together with the end of the row before. */
const END_MARK = NEWLINE + END_OF_ROWS;
/** No line but a row is longer: the sums of some hundred tables. */
const MAX_LINE_BYTES = 4 * 1024 * 1024;

/** Takes the unpacked part of a backup apart, with no more in memory than what arrives at once. */
export class BodyReader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next line without its end. */
  async line(): Promise<string> {
    let end: number;
    while ((end = this.#rest.indexOf(NEWLINE)) < 0) {
      if (this.#rest.length > MAX_LINE_BYTES) throw damaged('a line does not end.');
      await this.#more();
    }
    const line = this.#rest.subarray(0, end).toString();
    this.#rest = this.#rest.subarray(end + 1);
    return line;
  }

  /** The rows of the table whose first line was read, in pieces that need not end where a row does. */
  async *rows(): AsyncGenerator<Buffer, void, void> {
    // So that the mark is found in a table without rows, too.
    this.#rest = Buffer.concat([Buffer.from(NEWLINE), this.#rest]);
    let given = NEWLINE.length;
    let mark: number;
    while ((mark = this.#rest.indexOf(END_MARK)) < 0) {
      // The mark may have begun.
      const safe = this.#rest.length - (END_MARK.length - 1);
      if (safe > given) {
        const piece = this.#rest.subarray(given, safe);
        this.#rest = this.#rest.subarray(safe);
        given = 0;
        yield piece;
      }
      await this.#more();
    }
    const last = this.#rest.subarray(given, mark + NEWLINE.length);
    this.#rest = this.#rest.subarray(mark + END_MARK.length);
    if (last.length > 0) yield last;
  }

  async end(): Promise<void> {
    if (this.#rest.length > 0 || !(await this.#source.next()).done)
      throw damaged('something follows its sums.');
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#source.next();
    if (done) throw damaged('it ends too early.');
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
  }
}
