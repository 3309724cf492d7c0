import { createHash } from 'node:crypto';
import type { TableSum } from './format.ts';

const NEWLINE = 10;

/** Sums up the rows of one table as they pass. */
export class TableCounter {
  readonly #name: string;
  readonly #hash = createHash('sha256');
  rows = 0;
  bytes = 0;

  constructor(name: string) {
    this.#name = name;
  }

  add(piece: Buffer): void {
    this.#hash.update(piece);
    this.bytes += piece.length;
    // Each row ends with a newline; one in a value is written as `\n`.
    for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, at + 1))
      this.rows += 1;
  }

  sum(): TableSum {
    return {
      name: this.#name,
      rows: this.rows,
      bytes: this.bytes,
      sha256: this.#hash.digest('hex'),
    };
  }
}
