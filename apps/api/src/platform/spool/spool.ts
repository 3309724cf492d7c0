import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Duplex } from 'node:stream';

const READ_BYTES = 64 * 1024;

export interface SpoolOptions {
  readonly directory: string;
  /** Up to this much waits in memory; what comes beyond it, in a file. */
  readonly memoryBytes: number;
  /** Asked before bytes are kept. @throws when there is no room */
  readonly reserve: (bytes: number, held: number) => void;
  readonly release: (bytes: number) => void;
}

type Callback = (error?: Error | null) => void;

/**
 * Takes bytes as fast as they come and gives them as slowly as they are read, so that a slow reader
 * holds up nobody but itself. Destroying it ends both sides and frees what it holds. Emits `taken`
 * whenever its reader has made room for more.
 */
export class Spool extends Duplex {
  /** In the order of their writing; all of it older than what is in the file. */
  private readonly memory: Buffer[] = [];
  private memoryBytes = 0;
  private file: Promise<FileHandle> | null = null;
  private fileStart = 0;
  private fileEnd = 0;
  /** Bytes reserved. */
  private held = 0;
  private isWanted = false;
  private isComplete = false;

  constructor(private readonly options: SpoolOptions) {
    super();
  }

  /** Whether the reader has taken all there is, and waits. */
  get isAwaited(): boolean {
    return this.isWanted;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    void settle(this.keep(chunk), (error) => {
      callback(error);
      this.supply();
    });
  }

  override _final(callback: Callback): void {
    this.isComplete = true;
    callback();
    this.supply();
  }

  override _read(): void {
    this.isWanted = true;
    this.emit('taken');
    this.supply();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.memory.length = 0;
    this.giveBack(this.held);
    // Closing waits for what is being read and written.
    const closed = this.file?.then((file) => file.close()) ?? Promise.resolve();
    void settle(closed, (failure) => callback(error ?? failure));
  }

  private async keep(chunk: Buffer): Promise<void> {
    this.options.reserve(chunk.length, this.held);
    this.held += chunk.length;
    if (this.fileStart === this.fileEnd) {
      if (this.fileEnd > 0) await this.clearFile();
      if (this.memoryBytes + chunk.length <= this.options.memoryBytes) {
        this.memory.push(chunk);
        this.memoryBytes += chunk.length;
        return;
      }
    }
    this.file ??= openUnlinked(this.options.directory);
    const file = await this.file;
    for (let done = 0; done < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, this.fileEnd);
      done += bytesWritten;
      this.fileEnd += bytesWritten;
    }
  }

  /** All of the file was read: the room on the disk is free again. */
  private async clearFile(): Promise<void> {
    const file = await this.file;
    await file?.truncate(0);
    this.giveBack(this.fileEnd);
    this.fileStart = 0;
    this.fileEnd = 0;
  }

  private supply(): void {
    if (!this.isWanted || this.destroyed) return;
    const chunk = this.memory.shift();
    if (chunk) {
      this.isWanted = false;
      this.memoryBytes -= chunk.length;
      this.giveBack(chunk.length);
      this.push(chunk);
    } else if (this.fileStart < this.fileEnd) {
      this.isWanted = false;
      this.readFile().then(
        (bytes) => this.push(bytes),
        (error: Error) => this.destroy(error),
      );
    } else if (this.isComplete) {
      this.isWanted = false;
      this.push(null);
    }
  }

  private async readFile(): Promise<Buffer> {
    const file = await this.file!;
    const size = Math.min(READ_BYTES, this.fileEnd - this.fileStart);
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(size),
      0,
      size,
      this.fileStart,
    );
    if (bytesRead === 0) throw new Error('The file of a spool ended early');
    this.fileStart += bytesRead;
    return buffer.subarray(0, bytesRead);
  }

  private giveBack(bytes: number): void {
    const mine = Math.min(bytes, this.held);
    this.held -= mine;
    this.options.release(mine);
  }
}

async function settle(work: Promise<void>, callback: (error: Error | null) => void): Promise<void> {
  let failure: Error | null = null;
  try {
    await work;
  } catch (error) {
    failure = error as Error;
  }
  callback(failure);
}

/** A file that only its handle leads to: nobody else can open it, and it is gone with the process. */
export async function openUnlinked(directory: string): Promise<FileHandle> {
  const path = join(directory, `rind-spool-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
