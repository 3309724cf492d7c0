import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { Problem, PullResult } from '@rind/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Pool } from 'pg';
import { Database } from '../../src/platform/database/database.js';
import type { Spool } from '../../src/platform/spool/spool.js';
import { SpoolLimits, Spools } from '../../src/platform/spool/spools.js';
import { LargePullLimits } from '../../src/sync/large-pulls.js';
import { SMALL_PULL_ROWS } from '../../src/sync/sync-statements.js';
import { LogRecorder } from '../support/log-recorder.js';
import { type Seam, hold } from '../support/seams.js';
import { type Account, TestApp } from '../support/test-app.js';

/** Texts that COPY or JSON write in a way of their own. */
const nastyTexts = [
  '',
  '\\N',
  '\\',
  '\\.',
  'a\tb\nc\rd\be\ff\vg',
  '"quoted" \\"twice\\"',
  Array.from({ length: 0x1f }, (_, index) => String.fromCharCode(index + 1)).join(''),
  '\u007f\u0085\u2028\u2029\ufeff',
  'Ärger 日本 👩‍👩‍👧 \u{10ffff}',
  '{"json": "\\u0000"}',
];
const numbers = [0, -0, 1.5, -1e21, 1e-7, 5e-324, Number.MAX_VALUE, 1_790_000_000_000];

const decoders = {
  zstd: zstdDecompressSync,
  br: brotliDecompressSync,
  gzip: gunzipSync,
  identity: (bytes: Buffer) => bytes,
};

/** Sockets take a few MB by themselves: what nobody reads has to be more than that. */
const BIG = { rows: 600, bytes: 16_000 };

describe('large pulls', () => {
  const POOL_SIZE = 4;
  /** Connections of their own, half as many as the pool has. */
  const SNAPSHOTS = POOL_SIZE / 2;
  let rind: TestApp;
  let pool: Pool;
  let spools: Spools;
  const seams: Seam[] = [];
  const answers: IncomingMessage[] = [];

  beforeAll(async () => {
    rind = await TestApp.start({
      env: { DATABASE_POOL_SIZE: String(POOL_SIZE), LOG_LEVEL: 'fatal' },
    });
    pool = Reflect.get(rind.app.get(Database), 'snapshotPool') as Pool;
    spools = rind.app.get(Spools);
  });
  afterEach(async () => {
    seams.splice(0).forEach((seam) => seam.release());
    jest.restoreAllMocks();
    answers.splice(0).forEach((answer) => answer.destroy());
    Object.assign(rind.app.get(LargePullLimits), new LargePullLimits());
    Object.assign(rind.app.get(SpoolLimits), new SpoolLimits());
    await untilIdle();
  });
  afterAll(() => rind.stop());

  /** For tests that other work on the machine may slow down beyond what one large pull may take. */
  const haveTime = () =>
    Object.assign(rind.app.get(LargePullLimits), {
      waitMs: 180_000,
      readMs: 180_000,
      stallMs: 180_000,
    });

  /** Whatever happened to an answer, nothing of it is left: no connection, no file, no bytes. */
  async function untilIdle(): Promise<void> {
    while (spools.count > 0 || pool.totalCount > pool.idleCount) {
      await new Promise(setImmediate);
    }
    expect([spools.bytes, pool.waitingCount]).toEqual([0, 0]);
    // All connections at once: one in the middle of a COPY would never answer, and in a transaction
    // that somebody left open the time would stand still.
    const connections = await Promise.all(Array.from({ length: SNAPSHOTS }, () => pool.connect()));
    for (const connection of connections) {
      const { rows } = await connection.query('SELECT now() = statement_timestamp() AS "isFree"');
      expect(rows).toEqual([{ isFree: true }]);
      connection.release();
    }
  }

  /** Tasks behind the API's back, each with a text of so many bytes. */
  async function addTasks(
    account: Account,
    count: number,
    { bytes = 0, prefix = 'task', isDeleted = false, isRandom = false } = {},
  ): Promise<void> {
    await rind.sql.query(
      `WITH clock AS (UPDATE sync_clocks SET version = version + 1 WHERE user_id = $1 RETURNING version)
       INSERT INTO tasks (user_id, id, title, description, is_completed, project_id, created_at, updated_at, version, is_deleted)
       SELECT $1, $3 || '-' || i, 'Task ' || i,
         CASE WHEN $6 THEN (SELECT string_agg(md5(i::text || ':' || part), '') FROM generate_series(1, $4::int / 32) part)
           ELSE repeat('x', $4::int) END,
         i % 2 = 0, '', i, i, version, $5
       FROM generate_series(1, $2::int) i, clock`,
      [account.id, count, prefix, bytes, isDeleted, isRandom],
    );
  }

  async function signUpWithTasks(
    count: number,
    options?: { bytes: number; isRandom?: boolean },
  ): Promise<Account> {
    const account = await rind.signUp();
    await addTasks(account, count, options);
    return account;
  }

  /** A pull whose body nobody reads yet: the socket is paused, as that of a phone that has stopped receiving. */
  async function startPull(
    account: Account,
    { query = '', acceptEncoding }: { query?: string; acceptEncoding?: string } = {},
  ): Promise<IncomingMessage> {
    const outgoing = request(`${rind.url}/api/v1/sync/pull?${query}`, {
      agent: false,
      headers: {
        authorization: `Bearer ${account.accessToken}`,
        ...(acceptEncoding !== undefined && { 'accept-encoding': acceptEncoding }),
      },
    });
    outgoing.end();
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    answers.push(answer);
    return answer;
  }

  async function readAnswer<Body = PullResult>(answer: IncomingMessage): Promise<Body> {
    const coding = (answer.headers['content-encoding'] ?? 'identity') as keyof typeof decoders;
    return JSON.parse(decoders[coding](await buffer(answer)).toString()) as Body;
  }

  const pull = async (account: Account, options?: { query?: string; acceptEncoding?: string }) =>
    readAnswer(await startPull(account, options));

  const smallPull = (account: Account) =>
    rind.request<PullResult>('GET', '/sync/pull', { token: account.accessToken });

  const idsOf = ({ changes }: PullResult, table = 'tasks') =>
    (changes[table]!.updated as Array<{ id: string }>).map(({ id }) => id).toSorted();

  /** Resolves with whether the answer came to its end. */
  async function isWhole(answer: IncomingMessage): Promise<boolean> {
    answer.on('error', () => undefined);
    answer.resume();
    if (!answer.closed) await new Promise((resolve) => answer.once('close', resolve));
    return answer.complete;
  }

  describe('say the same as small ones', () => {
    /** Rows by id: their order means nothing. */
    const sorted = ({ changes, ...rest }: PullResult) => ({
      ...rest,
      changes: Object.fromEntries(
        Object.entries(changes).map(([table, { created, updated, deleted }]) => [
          table,
          {
            created,
            updated: (updated as Array<{ id: string }>).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
            deleted: deleted.toSorted(),
          },
        ]),
      ),
    });

    /** The same state, answered by both: small as it is, and large with so many rows beside it that are taken out again. */
    async function bothAnswers(account: Account, query: (cursor: number) => string) {
      const first = await pull(account);
      const cursor = first.timestamp - 1;
      const small = await pull(account, { query: query(cursor) });
      await rind.sql.query(
        `INSERT INTO tasks (user_id, id, title, is_completed, project_id, created_at, updated_at, version, is_deleted)
         SELECT $1, 'filler-' || i, '', false, '', 0, 0, version, false
         FROM generate_series(1, $2::int) i, sync_clocks WHERE user_id = $1 `,
        [account.id, SMALL_PULL_ROWS + 1],
      );
      const answer = await startPull(account, { query: query(cursor) });
      expect(answer.headers['transfer-encoding']).toBe('chunked');
      const large = await readAnswer(answer);
      const isFiller = ({ id }: { id: string }) => id.startsWith('filler-');
      const updated = large.changes['tasks']!.updated as Array<{ id: string }>;
      expect(updated.filter(isFiller)).toHaveLength(SMALL_PULL_ROWS + 1);
      large.changes['tasks']!.updated = updated.filter((row) => !isFiller(row));
      return { small, large };
    }

    async function signUpWithNastyRows(): Promise<Account> {
      const account = await rind.signUp();
      const { version } = (
        await rind.sql.query('SELECT version FROM sync_clocks WHERE user_id = $1', [account.id])
      ).rows[0];
      const texts = [...nastyTexts, null];
      for (const [index, text] of texts.entries()) {
        const number = numbers[index % numbers.length];
        for (const [id, isDeleted] of [
          ['live', false],
          ['dead', true],
        ] as const) {
          await rind.sql.query('INSERT INTO projects VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', [
            account.id,
            `${id}-${index}`,
            text ?? '',
            text,
            Object.is(number, -0) ? '-0' : number,
            number,
            version,
            isDeleted,
          ]);
        }
      }
      await addTasks(account, 3, { bytes: 64 });
      await rind.sql.query('UPDATE projects SET version = $2 WHERE user_id = $1', [
        account.id,
        Number(version) + 1,
      ]);
      return account;
    }

    test.each([
      ['a first pull', () => ''],
      ['changes since a cursor', (cursor: number) => `lastPulledAt=${cursor}`],
      [
        'a migration',
        (cursor: number) =>
          `lastPulledAt=${cursor}&schemaVersion=2&migration=${encodeURIComponent(
            JSON.stringify({
              from: 1,
              tables: ['tasks', 'users'],
              columns: [{ table: 'projects', columns: ['description'] }],
            }),
          )}`,
      ],
    ])('%s', async (_name, query) => {
      const { small, large } = await bothAnswers(await signUpWithNastyRows(), query);
      expect(Object.keys(large)).toEqual(Object.keys(small));
      expect(JSON.stringify(sorted(large))).toBe(JSON.stringify(sorted(small)));
      expect(idsOf(small, 'projects')).toHaveLength(nastyTexts.length + 1);
    });

    test('a replacement', async () => {
      const account = await signUpWithNastyRows();
      await rind.sql.query('UPDATE sync_clocks SET floor = version WHERE user_id = $1', [
        account.id,
      ]);
      const { small, large } = await bothAnswers(account, (cursor) => `lastPulledAt=${cursor}`);
      expect(Object.keys(large)).toEqual([
        'changes',
        'timestamp',
        'experimentalStrategy',
        'account',
        'timeline',
      ]);
      expect(JSON.stringify(sorted(large))).toBe(JSON.stringify(sorted(small)));
      expect(large.changes['projects']!.deleted).toEqual([]);
    });

    test('deletions, too many for a small one', async () => {
      const account = await rind.signUp();
      const { timestamp } = await pull(account);
      await addTasks(account, 2 * SMALL_PULL_ROWS, { isDeleted: true });
      const { changes } = await pull(account, { query: `lastPulledAt=${timestamp}` });
      expect(changes['tasks']!.deleted).toHaveLength(2 * SMALL_PULL_ROWS);
      expect(idsOf(await pull(account))).toEqual([]);
    });

    test.each([
      ['as many as a small one has', SMALL_PULL_ROWS, undefined],
      ['one more', SMALL_PULL_ROWS + 1, 'chunked'],
    ])('rows of several tables: %s', async (_name, count, encoding) => {
      const account = await rind.signUp();
      // One row is the greeting.
      await addTasks(account, count - 201);
      await rind.sql.query(
        `INSERT INTO projects (user_id, id, name, created_at, updated_at, version)
         SELECT $1, 'project-' || i, '', 0, 0, version
         FROM generate_series(1, 200) i, sync_clocks WHERE user_id = $1`,
        [account.id],
      );
      const answer = await startPull(account);
      expect(answer.headers['transfer-encoding']).toBe(encoding);
      const { changes } = await readAnswer(answer);
      expect(changes['projects']!.updated).toHaveLength(200);
      expect(changes['tasks']!.updated).toHaveLength(count - 201);
      expect(changes['notifications']!.updated).toHaveLength(1);
    });

    test('and only of one’s own rows', async () => {
      const [mine, theirs] = [await signUpWithTasks(1000), await rind.signUp()];
      await addTasks(theirs, 1000, { prefix: 'theirs' });
      const [first, second] = [await pull(mine), await pull(theirs)];
      expect(idsOf(first).filter((id) => !id.startsWith('task-'))).toEqual([]);
      expect(idsOf(second).filter((id) => !id.startsWith('theirs-'))).toEqual([]);
      expect([first.account, second.account]).toEqual([mine.id, theirs.id]);
    });
  });

  test('the clock and all tables are of one snapshot', async () => {
    const account = await signUpWithTasks(1000);
    const before = await pull(account);
    const seam = holdSnapshot();
    const answer = startPull(account);
    await seam.reached;
    await addTasks(account, 10, { prefix: 'later' });
    seam.release();
    const during = await readAnswer(await answer);
    expect(during).toEqual(before);
    const after = await pull(account, { query: `lastPulledAt=${during.timestamp}` });
    expect(idsOf(after)).toHaveLength(10);
  });

  describe('compressed', () => {
    test.each(['zstd', 'br', 'gzip', 'identity'] as const)('with %s', async (coding) => {
      const account = await signUpWithTasks(1000);
      const answer = await startPull(account, { acceptEncoding: coding });
      expect(answer.headers['content-encoding'] ?? 'identity').toBe(coding);
      expect(answer.headers['vary']).toMatch(/\bAccept-Encoding$/);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(idsOf(await readAnswer(answer))).toHaveLength(1000);
    });

    test('also where they are small, but not where they are tiny', async () => {
      const account = await signUpWithTasks(100);
      const answer = await startPull(account, { acceptEncoding: 'gzip' });
      expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip' });
      expect(answer.headers['content-length']).toBeDefined();
      const { timestamp } = await readAnswer(answer);
      const tiny = await startPull(account, {
        query: `lastPulledAt=${timestamp}`,
        acceptEncoding: 'gzip',
      });
      expect(tiny.headers['content-encoding']).toBeUndefined();
      expect((await readAnswer(tiny)).timestamp).toBe(timestamp);
    });

    test('never for a problem', async () => {
      Object.assign(rind.app.get(SpoolLimits), { bytesPerSpool: 1 });
      const answer = await startPull(await signUpWithTasks(1000), { acceptEncoding: 'gzip' });
      expect([answer.statusCode, answer.headers['content-encoding']]).toEqual([503, undefined]);
      expect(await readAnswer<Problem>(answer)).toMatchObject({ code: 'service_unavailable' });
    });
  });

  /** Stops large pulls once they have their snapshot, and before they read a row. */
  function holdSnapshot(): Seam {
    const database = rind.app.get(Database);
    const original = database.snapshot.bind(database);
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    database.snapshot = (work) =>
      original(async (snapshot) => {
        // The first statement takes the snapshot.
        await snapshot.run({ name: 'take_snapshot', text: 'SELECT count(*) FROM tasks' }, []);
        arrived.resolve();
        await released.promise;
        return work(snapshot);
      });
    const seam = {
      reached: arrived.promise,
      release: () => {
        database.snapshot = original;
        released.resolve();
      },
    };
    seams.push(seam);
    return seam;
  }

  describe('of slow clients', () => {
    test('hold no connection: twenty that have stopped reading leave small pulls alone', async () => {
      haveTime();
      const small = await rind.signUp();
      const slow: Array<[Account, IncomingMessage]> = [];
      for (let count = 0; count < 20; count += 1) {
        const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
        slow.push([account, await startPull(account)]);
        expect((await smallPull(small)).status).toBe(200);
      }
      while (pool.totalCount > pool.idleCount) await new Promise(setImmediate);
      expect(spools.count).toBe(20);
      expect(spools.bytes).toBeGreaterThan(0);
      const [account, answer] = slow[7]!;
      const body = await readAnswer(answer);
      expect([body.account, idsOf(body).length]).toEqual([account.id, BIG.rows]);
    }, 180_000);

    test('read a kilobyte now and then, twenty of them beside a stream of small pulls: all get all', async () => {
      haveTime();
      const small = await rind.signUp();
      const accounts = [];
      for (let count = 0; count < 20; count += 1) {
        accounts.push(await signUpWithTasks(BIG.rows, { bytes: BIG.bytes }));
      }
      const slow = await Promise.all(accounts.map((account) => startPull(account)));
      const chunks = slow.map((): Buffer[] => []);
      for (let pulls = 0; pulls < 100; pulls += 1) {
        slow.forEach((answer, index) => {
          const chunk = answer.read(1000) as Buffer | null;
          if (chunk) chunks[index]!.push(chunk);
        });
        expect((await smallPull(small)).status).toBe(200);
      }
      expect([spools.count, slow.some(({ complete }) => complete)]).toEqual([20, false]);
      for (const [index, answer] of slow.entries()) {
        const text = Buffer.concat([...chunks[index]!, await buffer(answer)]).toString();
        const body = JSON.parse(text) as PullResult;
        expect([body.account, idsOf(body).length]).toEqual([accounts[index]!.id, BIG.rows]);
      }
    }, 180_000);

    /** Makes the time of large pulls that begin from now on pass when it is called, and not before. */
    function holdTime(limit: 'readMs' | 'stallMs'): () => void {
      const timeMs = 123_456;
      Object.assign(rind.app.get(LargePullLimits), { [limit]: timeMs });
      const ends: Array<() => void> = [];
      const start = globalThis.setTimeout;
      const startHeld = (callback: () => void, delayMs?: number, ...values: []) => {
        if (delayMs === timeMs) ends.push(callback);
        return start(callback, delayMs, ...values);
      };
      jest.spyOn(globalThis, 'setTimeout').mockImplementation(startHeld);
      return () => ends.forEach((end) => end());
    }

    test('end with the time to read them, broken', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const pass = holdTime('readMs');
      const answer = await startPull(account);
      pass();
      while (spools.count > 0) await new Promise(setImmediate);
      expect(await isWhole(answer)).toBe(false);
    });

    test('that take nothing any more are cut off, so that their user can pull again', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const pass = holdTime('stallMs');
      const dead = await startPull(account);
      while (spools.count > 0) {
        pass();
        await new Promise(setImmediate);
      }
      expect(idsOf(await pull(account))).toHaveLength(BIG.rows);
      expect(await isWhole(dead)).toBe(false);
    });

    test('that wait for PostgreSQL are not taken for dead', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const pass = holdTime('stallMs');
      const opened = jest.spyOn(spools, 'open');
      const seam = holdCopy();
      const answer = await startPull(account);
      const body = readAnswer(answer);
      await seam.reached;
      const spool = opened.mock.results[0]!.value as Spool;
      while (!spool.isAwaited) await new Promise(setImmediate);
      pass();
      seam.release();
      expect(idsOf(await body)).toHaveLength(BIG.rows);
    });

    test('leave nothing behind when they go away in the middle', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const answer = await startPull(account);
      while (pool.totalCount > pool.idleCount) await new Promise(setImmediate);
      expect([spools.count, spools.bytes > 0]).toEqual([1, true]);
      answer.destroy();
      await untilIdle();
      expect(idsOf(await pull(account))).toHaveLength(BIG.rows);
    });

    test('that go away while PostgreSQL still sends leave no connection in the middle of a COPY', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const seam = holdCopy();
      const answer = await startPull(account);
      await seam.reached;
      answer.destroy();
      while (spools.count > 0) await new Promise(setImmediate);
      seam.release();
      await untilIdle();
      expect(idsOf(await pull(account))).toHaveLength(BIG.rows);
    });

    test('and those that go away while they wait give up their turn', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const reading = await startPull(account);
      const waiting = request(`${rind.url}/api/v1/sync/pull`, {
        headers: { authorization: `Bearer ${account.accessToken}` },
      });
      waiting.on('error', () => undefined);
      waiting.end();
      const patient = startPull(account);
      await once(waiting, 'socket');
      waiting.destroy();
      await readAnswer(reading);
      expect(idsOf(await readAnswer(await patient))).toHaveLength(BIG.rows);
    });
  });

  /** Stops the spool from taking bytes after the first ones, so that a COPY stays in its middle. */
  function holdCopy(): Seam {
    const original = spools.open.bind(spools);
    const reached = Promise.withResolvers<void>();
    let release = () => {
      spools.open = original;
    };
    spools.open = () => {
      const spool = original();
      let writes = 0;
      const write = spool._write.bind(spool);
      const released = Promise.withResolvers<void>();
      spool._write = (chunk: Buffer, encoding, callback) => {
        writes += 1;
        if (writes === 2) reached.resolve();
        if (writes < 2) write(chunk, encoding, callback);
        else {
          void released.promise.then(() => {
            if (!spool.destroyed) write(chunk, encoding, callback);
          });
        }
      };
      release = () => {
        spools.open = original;
        released.resolve();
      };
      return spool;
    };
    const seam = { reached: reached.promise, release: () => release() };
    seams.push(seam);
    return seam;
  }

  test('one user has one at a time: of twenty first pulls all are answered, or told to come later', async () => {
    const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
    Object.assign(rind.app.get(LargePullLimits), { waitMs: 100 });
    const log = new LogRecorder();
    const started = await Promise.all(Array.from({ length: 20 }, () => startPull(account)));
    expect(spools.count).toBe(1);
    const refused = started.filter(({ statusCode }) => statusCode === 503);
    expect(refused).toHaveLength(19);
    expect(log.find('A large pull was refused')).toEqual(
      Array(19).fill(
        expect.objectContaining({ level: 'warn', userId: account.id, reason: 'user_busy' }),
      ),
    );
    expect(refused[0]!.headers['retry-after']).toMatch(/^\d+$/);
    expect(await readAnswer<Problem>(refused[0]!)).toMatchObject({ code: 'service_unavailable' });
    expect((await smallPull(await rind.signUp())).status).toBe(200);
    const [accepted] = started.filter(({ statusCode }) => statusCode === 200);
    expect(idsOf(await readAnswer(accepted!))).toHaveLength(600);
    haveTime();
    const all = await Promise.all(Array.from({ length: 20 }, () => pull(account)));
    expect(all.map((answer) => idsOf(answer).length)).toEqual(Array(20).fill(600));
  }, 180_000);

  test('all users together take no more connections than are set apart for them', async () => {
    const seam = hold(rind.app.get(Database), 'snapshot', 'before');
    seams.push(seam);
    const accounts = await Promise.all(Array.from({ length: 4 }, () => signUpWithTasks(600)));
    let begun = 0;
    const database = rind.app.get(Database);
    const held = database.snapshot.bind(database);
    database.snapshot = (work) => {
      begun += 1;
      return held(work);
    };
    const pulls = accounts.map((account) => pull(account));
    await seam.reached;
    // Each of the four has found that it is a large one, and has asked for its turn.
    while (begun < SNAPSHOTS) await new Promise(setImmediate);
    expect((await smallPull(await rind.signUp())).status).toBe(200);
    expect(begun).toBe(SNAPSHOTS);
    database.snapshot = held;
    seam.release();
    for (const answer of await Promise.all(pulls)) expect(idsOf(answer)).toHaveLength(600);
  });

  describe('that cannot be finished', () => {
    test('a spool that is full before the first byte is a 503', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      Object.assign(rind.app.get(SpoolLimits), { bytesPerProcess: 100 });
      const log = new LogRecorder();
      const answer = await startPull(account);
      expect(answer.statusCode).toBe(503);
      expect(answer.headers['retry-after']).toMatch(/^\d+$/);
      expect(await readAnswer<Problem>(answer)).toMatchObject({ code: 'service_unavailable' });
      expect(log.find('A large pull was refused')).toMatchObject([
        { level: 'warn', userId: account.id, reason: 'spool_full' },
      ]);
    });

    test.each(['identity', 'gzip'])(
      'a spool that gets full later breaks the transfer (%s)',
      async (acceptEncoding) => {
        const account = await signUpWithTasks(BIG.rows, {
          bytes: 2 * BIG.bytes,
          isRandom: acceptEncoding === 'gzip',
        });
        Object.assign(rind.app.get(SpoolLimits), { bytesPerSpool: 200_000 });
        const answer = await startPull(account, { acceptEncoding });
        expect(answer.statusCode).toBe(200);
        while (spools.count > 0) await new Promise(setImmediate);
        expect(await isWhole(answer)).toBe(false);
      },
    );

    test('a database connection that is killed in the middle of a COPY breaks the transfer', async () => {
      const account = await signUpWithTasks(BIG.rows, { bytes: BIG.bytes });
      const seam = holdCopy();
      const answer = await startPull(account);
      await seam.reached;
      const { rowCount } = await rind.sql.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY%'`,
      );
      expect(rowCount).toBe(1);
      seam.release();
      expect(await isWhole(answer)).toBe(false);
      await untilIdle();
      expect(idsOf(await pull(account))).toHaveLength(BIG.rows);
    });

    test('a database connection that is killed before the first row is a 503', async () => {
      const account = await signUpWithTasks(BIG.rows);
      const seam = holdSnapshot();
      const started = startPull(account);
      await seam.reached;
      await rind.sql.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'idle in transaction'`,
      );
      seam.release();
      const answer = await started;
      expect(answer.statusCode).toBe(503);
    });

    test('a user who is gone meanwhile is a 401', async () => {
      const account = await signUpWithTasks(BIG.rows);
      const seam = hold(rind.app.get(Database), 'snapshot', 'before');
      seams.push(seam);
      const started = startPull(account);
      await seam.reached;
      await rind.sql.query('DELETE FROM users WHERE id = $1', [account.id]);
      seam.release();
      const answer = await started;
      expect(answer.statusCode).toBe(401);
      expect(await readAnswer<Problem>(answer)).toMatchObject({ code: 'session_ended' });
    });
  });
});
