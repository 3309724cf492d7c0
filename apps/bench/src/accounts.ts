import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { ExpectedError } from '../../../scripts/expected-error.ts';
import { CREATED_AT, phrases, ROWS_PER_PROJECT } from './records.ts';
import type { Scale } from './scale.ts';
import type { ServerProcess } from './stand/server-process.ts';

export const PASSWORD = 'a password for measuring';

/** The first row of an account has the version after this one, and each further row the next. */
const VERSION_BEFORE = 1_780_000_000_000;

export interface Account {
  readonly userId: string;
  readonly email: string;
  /** Live rows it was seeded with. */
  readonly rows: number;
  /** Of its access token, once it has signed in. */
  readonly token: string;
}

/** The clock of an account as it was seeded: a pull after it has nothing new. */
export const seededVersion = ({ rows }: Account) => VERSION_BEFORE + rows;

/** The cursor after which an account has so many of its rows; 0, a first pull, when it has no more. */
export function cursorBefore(account: Account, rows: number): number {
  return rows === account.rows ? 0 : seededVersion(account) - rows;
}

/** All accounts of a run, by what they are for. Those that are read are written by nobody. */
export interface Accounts {
  /** By their number of rows. */
  readonly ofSize: ReadonlyMap<number, Account>;
  readonly readers: readonly Account[];
  readonly writers: readonly Account[];
  /** Nobody signs in for them: they are the rest of the world. */
  readonly others: readonly Account[];
}

/** What decides how many accounts there are and how much they have. */
type Population = Pick<Scale, 'accounts' | 'pulls' | 'clients' | 'clientPulls'>;

export async function createAccounts(
  admin: pg.Client,
  api: ServerProcess,
  scale: Population,
): Promise<Accounts> {
  const readerRows = Math.max(...scale.clientPulls) + 100;
  const plan = {
    ofSize: scale.pulls.filter((rows) => rows > 0),
    readers: Array<number>(scale.clients).fill(readerRows),
    // One project, to put new tasks into.
    writers: Array<number>(scale.clients).fill(1),
  };
  const active = Object.values(plan).flat();
  const rest = Array<number>(Math.max(1, scale.accounts - active.length)).fill(readerRows);
  const planned = [...active, ...rest].map((rows, index) => ({
    userId: randomUUID(),
    email: `account-${index}@bench.example.com`,
    rows,
    token: '',
  }));

  await insertUsers(admin, planned, await hashPassword(admin, api));
  await insertPhrases(admin);
  for (const account of planned) {
    await insertRows(admin, account, { from: 1, to: account.rows });
  }
  await vacuum(admin);

  const signedIn: Account[] = [];
  for (const account of planned.slice(0, active.length)) {
    signedIn.push({ ...account, token: await signIn(api, account.email) });
  }
  const readersFrom = plan.ofSize.length;
  const writersFrom = readersFrom + plan.readers.length;
  return {
    ofSize: new Map(signedIn.slice(0, readersFrom).map((account) => [account.rows, account])),
    readers: signedIn.slice(readersFrom, writersFrom),
    writers: signedIn.slice(writersFrom),
    others: planned.slice(active.length),
  };
}

/** As autovacuum would leave the tables after a while. */
export async function vacuum(admin: pg.Client): Promise<void> {
  await admin.query('VACUUM (ANALYZE) users, sync_clocks, projects, tasks');
}

/** By a real sign-up: one hash serves all, since hashing is slow on purpose. */
async function hashPassword(admin: pg.Client, api: ServerProcess): Promise<string> {
  const email = 'first@bench.example.com';
  await post(api, 'register', { email, password: PASSWORD, displayName: 'First' });
  const { rows } = await admin.query<{ hash: string }>(
    'SELECT password_hash AS hash FROM users WHERE email = $1',
    [email],
  );
  return rows[0]!.hash;
}

/** A session of its own, and its access token. */
export async function signIn(api: ServerProcess, email: string): Promise<string> {
  const { accessToken } = await post(api, 'login', { email, password: PASSWORD });
  return accessToken;
}

async function post(api: ServerProcess, route: string, body: unknown) {
  const response = await fetch(`http://${api.host}:${api.port}/api/v1/auth/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new ExpectedError(`${route}: ${response.status} ${text}`);
  return JSON.parse(text) as { accessToken: string };
}

async function insertUsers(
  admin: pg.Client,
  accounts: readonly Account[],
  hash: string,
): Promise<void> {
  const ids = accounts.map(({ userId }) => userId);
  await admin.query(
    `INSERT INTO users (id, email, email_verified_at, password_hash, display_name)
     SELECT id, email, now(), $3, 'Somebody' FROM unnest($1::uuid[], $2::text[]) AS u (id, email)`,
    [ids, accounts.map(({ email }) => email), hash],
  );
  await admin.query(
    `INSERT INTO user_roles (user_id, role_name) SELECT id, 'user' FROM unnest($1::uuid[]) AS u (id)`,
    [ids],
  );
  await admin.query(
    `INSERT INTO sync_clocks (user_id, version, timeline)
     SELECT id, version, gen_random_uuid() FROM unnest($1::uuid[], $2::int8[]) AS u (id, version)`,
    [ids, accounts.map(seededVersion)],
  );
}

async function insertPhrases(admin: pg.Client): Promise<void> {
  await admin.query('CREATE TEMP TABLE bench_phrases (n int PRIMARY KEY, phrase text NOT NULL)');
  await admin.query(
    `INSERT INTO bench_phrases SELECT ordinality - 1, phrase
     FROM unnest($1::text[]) WITH ORDINALITY AS p (phrase, ordinality)`,
    [phrases],
  );
}

/** The id of the account's row with this number, as SQL. */
const rowId = (number: string) => `substr(md5($1::uuid || ':' || (${number})::text), 1, 16)`;

/** The id of an account's first project. */
export async function firstProjectOf(admin: pg.Client, { userId }: Account): Promise<string> {
  const { rows } = await admin.query<{ id: string }>(`SELECT ${rowId('1')} AS id`, [userId]);
  return rows[0]!.id;
}

interface RowRange {
  /** A row's version grows with its number; those below 1 are below every cursor but that of a first pull. */
  readonly from: number;
  readonly to: number;
  readonly areDeleted?: boolean;
}

export async function insertRows(
  admin: pg.Client,
  { userId }: Account,
  { from, to, areDeleted = false }: RowRange,
): Promise<void> {
  const isProject = `i % ${ROWS_PER_PROJECT} = 1`;
  const source = `generate_series($2::int, $3::int) AS i
     JOIN bench_phrases a ON a.n = abs(i * 7919::int8) % ${phrases.length}
     JOIN bench_phrases b ON b.n = abs(i * 104729::int8) % ${phrases.length}
     JOIN bench_phrases c ON c.n = abs(i * 1299709::int8) % ${phrases.length}`;
  const values = `${CREATED_AT} + i, ${CREATED_AT} + i, ${VERSION_BEFORE} + i, ${areDeleted}`;
  await admin.query(
    `INSERT INTO projects (user_id, id, name, description, created_at, updated_at, version, is_deleted)
     SELECT $1::uuid, ${rowId('i')}, a.phrase, b.phrase || ' ' || c.phrase, ${values}
     FROM ${source} WHERE ${isProject} ORDER BY i`,
    [userId, from, to],
  );
  await admin.query(
    `INSERT INTO tasks (user_id, id, title, description, is_completed, project_id, created_at, updated_at, version, is_deleted)
     SELECT $1::uuid, ${rowId('i')}, a.phrase, b.phrase || ' ' || c.phrase, i % 3 = 0,
       ${rowId(`i - (i - 1) % ${ROWS_PER_PROJECT}`)}, ${values}
     FROM ${source} WHERE NOT ${isProject} ORDER BY i`,
    [userId, from, to],
  );
}
