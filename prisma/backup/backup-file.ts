import { createHash, randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { MigrateError, describeError } from '../migrate/errors.ts';
import { encodeEnd } from './format.ts';

/** Takes the bytes of a backup, and gives them a name once they are complete. */
export interface BackupOutput {
  write(bytes: Buffer): Promise<void>;
  /** Adds the end; only now is there a backup. */
  complete(): Promise<number>;
  /** Leaves nothing behind. */
  abandon(): Promise<void>;
}

/** Sums up the bytes as they pass. */
class Digest {
  readonly #hash = createHash('sha256');
  bytes = 0;

  add(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.bytes += bytes.length;
  }

  end(): Buffer {
    const end = encodeEnd(this.#hash.digest('hex'));
    this.bytes += end.length;
    return end;
  }
}

/** Under another name, readable by its owner only, until it is complete and on the disk. */
export class FileOutput implements BackupOutput {
  readonly #file: string;
  readonly #unfinished: string;
  readonly #handle: FileHandle;
  readonly #replace: boolean;
  readonly #digest = new Digest();
  /** When the process ends before it is complete: Ctrl-C, or a container that is stopped. */
  readonly #removeUnfinished = (): void => rmSync(this.#unfinished, { force: true });

  private constructor(file: string, unfinished: string, handle: FileHandle, replace: boolean) {
    this.#file = file;
    this.#unfinished = unfinished;
    this.#handle = handle;
    this.#replace = replace;
    process.on('exit', this.#removeUnfinished);
  }

  static async open(file: string, { replace }: { replace: boolean }): Promise<FileOutput> {
    if (existsSync(file) && !replace) throw fileExists(file);
    const unfinished = `${file}.unfinished-${randomUUID().slice(0, 8)}`;
    try {
      return new FileOutput(file, unfinished, await open(unfinished, 'wx', 0o600), replace);
    } catch (error) {
      throw new MigrateError(`${file} cannot be written: ${describeError(error)}`, {
        cause: error,
      });
    }
  }

  async write(bytes: Buffer): Promise<void> {
    this.#digest.add(bytes);
    await this.#handle.appendFile(bytes);
  }

  async complete(): Promise<number> {
    await this.#handle.appendFile(this.#digest.end());
    await this.#handle.sync();
    await this.#handle.close();
    await this.#rename();
    process.off('exit', this.#removeUnfinished);
    // So that the name, too, is there after a power cut.
    const directory = await open(path.dirname(path.resolve(this.#file)));
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    return this.#digest.bytes;
  }

  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#unfinished, { force: true });
    process.off('exit', this.#removeUnfinished);
  }

  async #rename(): Promise<void> {
    if (!this.#replace) {
      try {
        // Unlike a rename, refuses to take the place of a file that has come meanwhile.
        await link(this.#unfinished, this.#file);
        await rm(this.#unfinished);
        return;
      } catch (error) {
        // Some file systems know no links.
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw fileExists(this.#file);
      }
    }
    await rename(this.#unfinished, this.#file);
  }
}

/** For a pipeline: who reads it sees by the end of the file whether it is complete. */
export class StreamOutput implements BackupOutput {
  readonly #stream: Writable;
  readonly #digest = new Digest();

  constructor(stream: Writable) {
    this.#stream = stream;
    // Whoever writes learns of it.
    stream.on('error', () => undefined);
  }

  async write(bytes: Buffer): Promise<void> {
    this.#digest.add(bytes);
    await this.#send(bytes);
  }

  async complete(): Promise<number> {
    await this.#send(this.#digest.end());
    return this.#digest.bytes;
  }

  async abandon(): Promise<void> {
    // What was sent cannot be taken back; without its end nobody takes it for a backup.
  }

  #send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }
}

function fileExists(file: string): MigrateError {
  return new MigrateError(`${file} exists: give another name, or --force to replace it.`);
}
