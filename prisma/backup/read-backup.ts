import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { createZstdDecompress } from 'node:zlib';
import { MigrateError, describeError } from '../migrate/errors.ts';
import { BodyReader } from './body-reader.ts';
import { copyLine } from './copy-command.ts';
import {
  type BackupHeader,
  type BackupSums,
  type BackupTable,
  CHUNK_BYTES,
  END_BYTES,
  START_BYTES,
  UnusableBackup,
  damaged,
  decodeEnd,
  decodeHeader,
  decodeSums,
  headerBytes,
} from './format.ts';
import { type Progress, silentProgress } from './progress.ts';
import { TableCounter } from './table-counter.ts';

export interface BackupContent {
  header: BackupHeader;
  sums: BackupSums;
}

/** Takes all rows of a table; they come in pieces that need not end where a row does. */
export type TableConsumer = (table: BackupTable, rows: AsyncIterable<Buffer>) => Promise<void>;

/**
 * Reads the whole file, checks each of its sums, and knows that it is as it was written.
 * @throws MigrateError when it is damaged, cut off, or no backup
 */
export function verifyBackup(file: string, progress: Progress = silentProgress) {
  return readBackup(file, discard, progress);
}

const discard: TableConsumer = async (_table, rows) => {
  for await (const _piece of rows);
};

/**
 * The same, with the rows for the consumer. What it did must not count when this throws: only at the
 * end is it certain that the rows were right.
 */
export async function readBackup(
  file: string,
  consume: TableConsumer,
  progress: Progress,
): Promise<BackupContent> {
  const handle = await openFile(file);
  try {
    return await new BackupReading(handle, progress).run(consume);
  } catch (error) {
    if (error instanceof UnusableBackup)
      throw new MigrateError(`${file} ${error.message}`, { cause: error });
    throw error;
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file);
  } catch (error) {
    throw new MigrateError(`${file} cannot be read: ${describeError(error)}`, { cause: error });
  }
}

class BackupReading {
  readonly #handle: FileHandle;
  readonly #progress: Progress;

  constructor(handle: FileHandle, progress: Progress) {
    this.#handle = handle;
    this.#progress = progress;
  }

  async run(consume: TableConsumer): Promise<BackupContent> {
    const fileBytes = await this.#size();
    const bodyStart = headerBytes(await this.#read(0, START_BYTES), fileBytes);
    const bodyEnd = fileBytes - END_BYTES;
    const expected = decodeEnd(await this.#read(bodyEnd, END_BYTES));
    // Before anything of it is believed.
    if ((await this.#digest(bodyEnd)) !== expected) throw damaged('its checksum is another one.');
    return orDamaged(async () => {
      const header = decodeHeader(await this.#read(0, bodyStart));
      const packed = this.#stream(bodyStart, bodyEnd);
      // The reader of what is unpacked learns of an error on either side.
      const body = pipeline(
        packed,
        createZstdDecompress({ chunkSize: CHUNK_BYTES }),
        () => undefined,
      );
      try {
        return { header, sums: await this.#readBody(header, new BodyReader(body), consume) };
      } finally {
        body.destroy();
      }
    });
  }

  async #digest(end: number): Promise<string> {
    const hash = createHash('sha256');
    for await (const bytes of this.#stream(0, end)) hash.update(bytes as Buffer);
    return hash.digest('hex');
  }

  #stream(start: number, end: number): Readable {
    return this.#handle.createReadStream({ start, end: end - 1, autoClose: false });
  }

  async #size(): Promise<number> {
    const found = await this.#handle.stat();
    if (!found.isFile()) throw new UnusableBackup('is not a file.');
    if (found.size === 0) throw new UnusableBackup('is empty.');
    return found.size;
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await this.#handle.read(buffer, 0, length, Math.max(position, 0));
    return buffer.subarray(0, bytesRead);
  }

  async #readBody(
    header: BackupHeader,
    body: BodyReader,
    consume: TableConsumer,
  ): Promise<BackupSums> {
    const tables = [];
    for (const table of header.tables) {
      if ((await body.line()) !== copyLine(table))
        throw damaged(`the table ${table.name} does not begin where it should.`);
      const counter = new TableCounter(table.name);
      await consume(table, this.#counted(body.rows(), counter, table.name));
      tables.push(counter.sum());
      this.#progress.finish(table.name, counter.rows, counter.bytes);
    }
    const sums = decodeSums(await body.line());
    await body.end();
    if (!isDeepStrictEqual(sums.tables, tables)) throw damaged('its rows have other checksums.');
    return sums;
  }

  async *#counted(
    rows: AsyncIterable<Buffer>,
    counter: TableCounter,
    table: string,
  ): AsyncGenerator<Buffer, void, void> {
    for await (const piece of rows) {
      counter.add(piece);
      this.#progress.advance(table, counter.rows, counter.bytes);
      yield piece;
    }
  }
}

/** What cannot be unpacked or parsed was written otherwise. */
async function orDamaged<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { name, code = '' } = error as NodeJS.ErrnoException;
    const isUnreadable = name === 'SyntaxError' || /^Z(STD)?_/.test(code);
    throw isUnreadable ? damaged('it cannot be unpacked.') : error;
  }
}
