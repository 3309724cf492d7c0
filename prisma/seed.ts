import { existsSync } from 'node:fs';
import { AdminUsersService } from '../apps/api/dist/admin/admin-users.service.js';
import { SignInService } from '../apps/api/dist/auth/sign-in.service.js';
import { createCommandApp } from '../apps/api/dist/create-command-app.js';
import { DAY_MS } from '../apps/api/dist/platform/clock/clock.js';
import { SyncService } from '../apps/api/dist/sync/sync.service.js';
import { UsersService } from '../apps/api/dist/users/users.service.js';
import { findPort } from './database-url.ts';

const help = `Fills a development database with something to look at. May be run again: it restores its own rows
and leaves all others alone.

  npm run db:seed

Environment (also read from .env):
  DATABASE_URL     the migrated database; by default that of a running \`npm start\`
  RIND_DATA_DIR    where that one keeps its address; by default .data

Refused with NODE_ENV=production: the password of its users is public.
`;

const PASSWORD = 'demo password for everybody';
/** The day on which the demonstration's records were made. */
const BEGIN_MS = Date.UTC(2026, 0, 1);

interface Device {
  id: string;
  name: string;
  platform: string;
}

interface Person {
  email: string;
  displayName: string;
  language: 'de' | 'en';
  devices: [Device, ...Device[]];
}

const admin: Person = {
  email: 'admin@demo.example.com',
  displayName: 'Admin',
  language: 'en',
  devices: [device('00000000-0000-4000-8000-000000000001', 'Laptop', 'web')],
};

const ada: Person = {
  email: 'ada@demo.example.com',
  displayName: 'Ada',
  language: 'en',
  devices: [
    device('00000000-0000-4000-8000-000000000002', "Ada's phone", 'android'),
    device('00000000-0000-4000-8000-000000000003', "Ada's tablet", 'ios'),
  ],
};

const ben: Person = {
  email: 'ben@demo.example.com',
  displayName: 'Ben',
  language: 'de',
  devices: [device('00000000-0000-4000-8000-000000000004', 'Bens Telefon', 'ios')],
};

function device(id: string, name: string, platform: string): Device {
  return { id, name, platform };
}

type Row = { id: string } & Record<string, unknown>;

function record(day: number, columns: Row): Row {
  const time = BEGIN_MS + day * DAY_MS;
  return { created_at: time, updated_at: time, ...columns };
}

const adasRecords = {
  projects: [
    record(0, { id: 'demo-house', name: 'House', description: 'Everything before winter' }),
    record(1, { id: 'demo-boat', name: 'Boat', description: null }),
  ],
  tasks: [
    task(0, 'demo-paint', 'Paint the door', 'demo-house', true),
    task(1, 'demo-roof', 'Mend the roof', 'demo-house', false),
    task(2, 'demo-sail', 'Wash the sail', 'demo-boat', false),
    task(3, 'demo-call', 'Call the harbour', '', false),
  ],
};

const bensRecords = {
  projects: [record(0, { id: 'demo-garden', name: 'Garten', description: null })],
  tasks: [task(0, 'demo-trees', 'Bäume schneiden', 'demo-garden', false)],
};

function task(day: number, id: string, title: string, projectId: string, isCompleted: boolean) {
  return record(day, {
    id,
    title,
    description: null,
    project_id: projectId,
    is_completed: isCompleted,
  });
}

type App = Awaited<ReturnType<typeof createCommandApp>>;

class Seeder {
  readonly #app: App;

  constructor(app: App) {
    this.#app = app;
  }

  async run(): Promise<void> {
    await this.#signIn(admin);
    await this.#app.get(AdminUsersService).grantAdmin(admin.email);
    const adasId = await this.#signIn(ada);
    const bensId = await this.#signIn(ben);
    await this.#write(bensId, bensRecords);
    const staleCursor = await this.#write(adasId, adasRecords);
    await this.#write(adasId, {
      tasks: [task(5, 'demo-roof', 'Mend the roof before Friday', 'demo-house', false)],
    });
    this.#explain(staleCursor);
  }

  /** One session for each device; the account is made when it does not exist. Answers its id. */
  async #signIn({ devices, ...person }: Person): Promise<string> {
    const known = await this.#app.get(UsersService).findCredentials(person.email);
    const [first, ...others] = devices;
    const userId = await this.#signInOn(first, person, known === null);
    for (const other of others) await this.#signInOn(other, person, false);
    return userId;
  }

  async #signInOn(
    installation: Device,
    person: Omit<Person, 'devices'>,
    isNew: boolean,
  ): Promise<string> {
    const signIn = this.#app.get(SignInService);
    const client = { ip: '127.0.0.1', userAgent: 'seed', requestId: 'seed' };
    const body = { ...person, password: PASSWORD, device: installation };
    const result = isNew
      ? await signIn.register(body, client)
      : await signIn.login(body, client).catch((error: Error) => {
          throw new Error(
            `Sign-in as ${person.email}: ${error.message}. Was its password changed?`,
          );
        });
    if ('mfaRequired' in result) {
      throw new Error(`${person.email} has a second factor: remove it first.`);
    }
    if (!('user' in result)) throw new Error(`${person.email} has to verify its address first.`);
    return result.user.id;
  }

  /** Answers the user's clock afterwards. */
  async #write(userId: string, records: Record<string, Row[]>): Promise<number> {
    const changes = Object.fromEntries(
      Object.entries(records).map(([table, created]) => [table, { created }]),
    );
    const clock = await this.#app.get(SyncService).write(userId, changes);
    if (clock === null) throw new Error(`The user ${userId} is gone`);
    return clock;
  }

  #explain(staleCursor: number): void {
    const conflict = {
      lastPulledAt: staleCursor,
      changes: { tasks: { updated: [{ id: 'demo-roof', title: 'Mend the roof next year' }] } },
    };
    console.log(`Seeded. All users have the password "${PASSWORD}":
  ${admin.email} (admin), ${ada.email} (phone and tablet), ${ben.email}

A conflict to look at: Ada's phone changed the task demo-roof after her tablet last pulled. The tablet's
push is refused with 409 sync_conflict:

  API=http://localhost:${findPort(process.env)}/api/v1
  TOKEN=$(curl -s $API/auth/login -H 'Content-Type: application/json' \\
    -d '${JSON.stringify({ email: ada.email, password: PASSWORD })}' | sed -nE 's/.*"accessToken":"([^"]+)".*/\\1/p')
  curl -s $API/sync/push -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '${JSON.stringify(conflict)}'
`);
  }
}

async function seed(): Promise<void> {
  if (process.env['NODE_ENV'] === 'production') {
    throw new Error(
      'The seed is refused with NODE_ENV=production: the password of its users is public.',
    );
  }
  const app = await createCommandApp(process.env);
  try {
    await new Seeder(app).run();
  } finally {
    await app.close();
  }
}

if (process.argv.includes('--help')) {
  console.log(help);
} else {
  if (existsSync('.env')) process.loadEnvFile();
  try {
    await seed();
  } catch (error) {
    console.error(error instanceof Error ? error.message.trim() : error);
    process.exitCode = 1;
  }
}
