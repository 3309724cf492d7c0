import type { Chunks } from './chunks.js';
import type { RecordField } from './pull-answer.js';

const TAB = 0x09;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const CAPITAL_N = 0x4e;
const BACKSLASH = 0x5c;

const NULL = Buffer.from('null');

/** JSON for each byte that cannot stand in a JSON text as it is. */
const escapes: ReadonlyArray<Buffer | undefined> = Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH
    ? Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1))
    : undefined,
);

/** The bytes that COPY names by a letter behind a backslash; any other byte there means itself. */
const namedByLetter = new Map(
  Object.entries({ b: 0x08, t: TAB, n: NEWLINE, v: 0x0b, f: 0x0c, r: 0x0d }).map(
    ([letter, byte]) => [letter.charCodeAt(0), byte],
  ),
);

/** 1 for bytes that COPY or JSON writes in another way. */
const isSpecial = Uint8Array.from(escapes, (escape) => (escape ? 1 : 0));

interface Field {
  readonly key: Buffer;
  readonly isText: boolean;
}

/**
 * Turns the text of COPY into the items of a JSON array, in one pass over the bytes: columns are
 * separated by tabs, rows end with a newline, `\N` is null. Chunks may be cut anywhere.
 */
export class CopyEncoder {
  private readonly fields: readonly Field[];
  private readonly rowEnd: Buffer;
  private rowCount = 0;
  private field = 0;
  private isFirstRow = true;
  /** Between a row's newline and the first byte of the next one, if there is one. */
  private isBetweenRows = true;
  /** No byte of the current column was seen yet. */
  private isColumnStart = true;
  private isNull = false;
  private isEscaped = false;

  /** `rowEnd` closes what the key of the first field opened. */
  constructor(
    private readonly output: Chunks,
    fields: readonly RecordField[],
    rowEnd: string,
  ) {
    this.fields = fields.map(({ key, isText }) => ({ key: Buffer.from(key), isText }));
    this.rowEnd = Buffer.from(rowEnd);
  }

  /** How many rows have come whole. */
  get rows(): number {
    return this.rowCount;
  }

  encode(chunk: Buffer): void {
    for (let index = 0; index < chunk.length;) {
      const byte = chunk[index]!;
      if (this.isBetweenRows) this.beginRow();
      if (this.isEscaped) this.endEscape(byte);
      else if (byte === TAB || byte === NEWLINE) this.endColumn(byte === NEWLINE);
      else if (byte === BACKSLASH) this.isEscaped = true;
      else {
        if (this.isColumnStart) this.beginValue();
        const end = endOfPlainText(chunk, index);
        if (end > index) {
          this.output.append(chunk, index, end);
          index = end;
          continue;
        }
        this.output.append(escapes[byte]!);
      }
      index += 1;
    }
  }

  private beginRow(): void {
    if (!this.isFirstRow) this.output.appendByte(COMMA);
    this.isFirstRow = false;
    this.isBetweenRows = false;
    this.output.append(this.fields[0]!.key);
  }

  private beginValue(): void {
    this.isColumnStart = false;
    if (this.fields[this.field]!.isText) this.output.appendByte(QUOTE);
  }

  private endEscape(byte: number): void {
    this.isEscaped = false;
    // A text that begins with a backslash comes as two of them, so this can only be null.
    if (this.isColumnStart && byte === CAPITAL_N) {
      this.isColumnStart = false;
      this.isNull = true;
      this.output.append(NULL);
      return;
    }
    if (this.isColumnStart) this.beginValue();
    const meant = namedByLetter.get(byte) ?? byte;
    const escape = escapes[meant];
    if (escape) this.output.append(escape);
    else this.output.appendByte(meant);
  }

  private endColumn(isRowEnd: boolean): void {
    if (this.isColumnStart) this.beginValue();
    if (this.fields[this.field]!.isText && !this.isNull) this.output.appendByte(QUOTE);
    this.isNull = false;
    this.isColumnStart = true;
    this.isBetweenRows = isRowEnd;
    this.field = isRowEnd ? 0 : this.field + 1;
    if (isRowEnd) this.rowCount += 1;
    this.output.append(isRowEnd ? this.rowEnd : this.fields[this.field]!.key);
  }
}

function endOfPlainText(chunk: Buffer, start: number): number {
  let end = start;
  while (end < chunk.length && isSpecial[chunk[end]!] === 0) end += 1;
  return end;
}
