import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ConfigError, loadConfig } from '../config/config.js';
import { SpoolFullError, SpoolLimits, Spools } from './spools.js';

describe('a spool', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rind-spool-test-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  function createSpools(limits: Partial<SpoolLimits> = {}): Spools {
    const config = loadConfig({
      DATABASE_URL: 'postgres://localhost/rind',
      RIND_SPOOL_DIR: directory,
    });
    return new Spools(config, Object.assign(new SpoolLimits(), limits));
  }

  /** Files of this process that nobody else can open, since they have no name any more. */
  async function countUnlinkedFiles(): Promise<number> {
    const descriptors = await readdir('/proc/self/fd');
    const targets = await Promise.all(
      descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    return targets.filter((path) => path.startsWith(directory) && path.endsWith('(deleted)'))
      .length;
  }

  test.each([
    ['memory alone', 1_000_000],
    ['memory and a file', 1000],
    ['a file alone', 0],
  ])('gives back what it took: %s', async (_name, memoryBytes) => {
    const spools = createSpools({ memoryBytes });
    const spool = spools.open();
    const chunks = Array.from({ length: 200 }, (_, index) => randomBytes(index * 7));
    for (const chunk of chunks) spool.write(chunk);
    spool.end();
    await finished(spool, { readable: false });
    const total = Buffer.concat(chunks);
    expect(spools.bytes).toBe(total.length);
    expect((await buffer(spool)).equals(total)).toBe(true);
    await finished(spool);
    expect([spools.bytes, spools.count]).toEqual([0, 0]);
  });

  test('keeps the order when it is read while it is written, and uses the file anew', async () => {
    const spools = createSpools({ memoryBytes: 10, bytesPerSpool: 100 });
    const spool = spools.open();
    const chunks = Array.from({ length: 50 }, () => randomBytes(30));
    const read: Buffer[] = [];
    spool.on('data', (bytes: Buffer) => read.push(bytes));
    for (const [index, chunk] of chunks.entries()) {
      await new Promise((resolve) => spool.write(chunk, resolve));
      while (Buffer.concat(read).length < (index + 1) * 30) await once(spool, 'data');
    }
    spool.end();
    await finished(spool);
    expect(Buffer.concat(read).equals(Buffer.concat(chunks))).toBe(true);
  });

  const onLinux = process.platform === 'linux' ? test : test.skip;

  onLinux('has a file without a name, and closes it when it is destroyed', async () => {
    const spools = createSpools({ memoryBytes: 10 });
    const spool = spools.open();
    await new Promise((resolve) => spool.write(randomBytes(1000), resolve));
    expect(await readdir(directory)).toEqual([]);
    expect(await countUnlinkedFiles()).toBe(1);
    await once(spool, 'data');
    spool.destroy();
    await once(spool, 'close');
    expect([await countUnlinkedFiles(), spools.bytes, spools.count]).toEqual([0, 0, 0]);
  });

  onLinux('that is destroyed while it opens its file closes it', async () => {
    const spools = createSpools({ memoryBytes: 0 });
    const spool = spools.open();
    spool.on('error', () => undefined);
    spool.write('x');
    spool.destroy();
    await once(spool, 'close');
    expect([await countUnlinkedFiles(), spools.bytes]).toEqual([0, 0]);
  });

  test('fails when it would hold more than one may, or all may', async () => {
    const spools = createSpools({ bytesPerSpool: 100, bytesPerProcess: 150 });
    const [first, second] = [spools.open(), spools.open()];
    await new Promise((resolve) => first.write(randomBytes(100), resolve));
    const refused = once(second, 'error');
    second.write(randomBytes(51));
    expect((await refused)[0]).toBeInstanceOf(SpoolFullError);
    const third = spools.open();
    await new Promise((resolve) => third.write(randomBytes(50), resolve));
    const alsoRefused = once(first, 'error');
    first.write('x');
    expect((await alsoRefused)[0]).toBeInstanceOf(SpoolFullError);
    third.destroy();
    await once(third, 'close');
    expect([spools.bytes, spools.count]).toEqual([0, 0]);
  });

  test('whose folder cannot be written to fails the start with one sentence', async () => {
    await createSpools().onModuleInit();
    expect(await readdir(directory)).toEqual([]);
    const missing = join(directory, 'missing');
    const config = loadConfig({ DATABASE_URL: 'postgres://h/d', RIND_SPOOL_DIR: missing });
    const start = new Spools(config, new SpoolLimits()).onModuleInit();
    await expect(start).rejects.toEqual(
      new ConfigError([`RIND_SPOOL_DIR: cannot write to ${missing} (ENOENT)`]),
    );
  });
});
