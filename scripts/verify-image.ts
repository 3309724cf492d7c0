// Builds the Dockerfile and runs the image, on a Debian machine without any container engine.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { describeError, ExpectedError } from './expected-error.ts';
import { findFreePort } from './ports.ts';
import { Buildah, type ImageConfig, output } from './verify-image/buildah.ts';
import { Container } from './verify-image/container.ts';
import { runLoad } from './verify-image/load.ts';
import { buildStandInBase } from './verify-image/stand-in-base.ts';

const HELP = `Usage: pnpm verify:image

Builds the image with Buildah on a stand-in for its base, runs it in namespaces of its own on an embedded PostgreSQL,
and checks user, commit, health check, a root file system that cannot be written to, two containers that start at once
on an empty database, SIGTERM, and the smoke test. Prints size, start time and memory. Needs Debian 12 and root; installs
buildah and debootstrap when they are missing. Takes some minutes and 5 GB below TMPDIR, in a folder rind-image-… that
it removes at its end; one that was interrupted leaves it.
`;

const ROOT = join(import.meta.dirname, '..');
const BASE = 'docker.io/library/node:24-bookworm-slim';
const IMAGE = 'localhost/rind';
const READY_TIMEOUT_MS = 60_000;
const LOAD_SECONDS = 10;
const STARTS = 5;

/** What production asks for; mails fail and are tried again, which disturbs nothing here. */
const production = {
  JWT_SECRET: 'a-secret-of-the-image-check-0123456789',
  ENCRYPTION_KEY: 'a-key-of-the-image-check-0123456789-ab',
  FRONTEND_URL: 'https://app.example.com',
  RESEND_API_KEY: 're_of_the_image_check',
  RESEND_BASE_URL: 'http://localhost:9',
  EMAIL_FROM: 'rind@example.com',
  EMAIL_VERIFICATION_REQUIRED: 'false',
  LOG_LEVEL: 'warn',
  ...Object.fromEntries(
    ['ANON', 'USER', 'SYNC', 'AUTH'].map((name) => [`RATE_LIMIT_${name}_PER_MINUTE`, '0']),
  ),
};

/** Run inside of the image: who it is there, and where it may write. */
const LOOK_AROUND = `
const { accessSync, constants, writeFileSync } = require('node:fs');
const mayWrite = (file) => { try { writeFileSync(file, ''); return true; } catch { return false; } };
console.log(JSON.stringify({
  uid: process.getuid(), gid: process.getgid(), pid: process.pid, node: process.version,
  writes: ['/rind/apps/api/x', '/rind/x', '/x', '/home/node/x', '/tmp/x'].filter(mayWrite),
}));`;

const say = (message: string): void => console.log(message);

class ImageCheck {
  readonly #directory: string;
  readonly #buildah: Buildah;
  readonly #containers: Container[] = [];
  #root = '';
  #config!: ImageConfig;
  #database: EmbeddedPostgres | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.#buildah = new Buildah(join(directory, 'buildah'));
  }

  async run(): Promise<void> {
    const commit = await output('git', '-C', ROOT, 'rev-parse', 'HEAD');
    await this.#build(commit);
    await this.#checkConfig(commit);
    await this.#lookAround();
    this.#database = await startEmbeddedPostgres({
      dataDir: join(this.#directory, 'database'),
      temporary: true,
    });
    await this.#startTwoOnEmptyDatabase();
    await this.#measureStarts();
    await this.#smokeAndLoad(commit);
    await this.#stopsWithDatabaseAway();
  }

  async end(): Promise<void> {
    for (const container of this.#containers) await container.stop().catch(() => undefined);
    await this.#database?.stop();
    await this.#buildah.run('umount', '--all').catch(() => undefined);
  }

  async #build(commit: string): Promise<void> {
    say('Making a base image');
    await buildStandInBase(this.#buildah, BASE, join(this.#directory, 'base'));
    say('Building the image');
    await this.#buildah.build(ROOT, IMAGE, { IMAGE_COMMIT: commit });
    this.#config = await this.#buildah.config(IMAGE);
    this.#root = await this.#buildah.mount(IMAGE);
    const bytes = async (directory: string): Promise<number> =>
      parseInt(
        await output('du', '--summarize', '--apparent-size', '--block-size=1', directory),
        10,
      );
    const [base, image] = [await bytes(await this.#buildah.mount(BASE)), await bytes(this.#root)];
    const beyondMb = Math.round((image - base) / 1e6);
    say(`  ${beyondMb} MB beyond the base`);
    assert.ok(beyondMb < 250, 'The image has less than 250 MB beyond its base');
  }

  async #checkConfig(commit: string): Promise<void> {
    const { Cmd, User, Healthcheck, Labels } = this.#config;
    assert.deepEqual(Cmd, ['node', 'dist/main.js']);
    assert.equal(User, '1000:1000');
    assert.deepEqual(Healthcheck?.Test, ['CMD', 'node', 'dist/healthcheck.js']);
    assert.equal(Labels['org.opencontainers.image.revision'], commit);
    const { uid, gid, mode } = await stat(join(this.#root, 'backups'));
    assert.deepEqual([uid, gid, mode & 0o777], [1000, 1000, 0o700]);
    const needless = ['apps/api/src', 'apps/api/test', 'apps/bench', '.git', '.env', 'scripts'];
    for (const name of needless) {
      assert.ok(!existsSync(join(this.#root, 'rind', name)), `${name} is not in the image`);
    }
  }

  async #lookAround(): Promise<void> {
    const look = this.#start(['node', '--eval', LOOK_AROUND]);
    assert.equal(await look.ended, 0, look.output);
    const { node, ...found } = JSON.parse(look.output);
    assert.deepEqual(found, { uid: 1000, gid: 1000, pid: 1, writes: ['/tmp/x'] });
    say(`  runs as user 1000 on Node.js ${node}, and writes nowhere but in /tmp`);
  }

  async #startTwoOnEmptyDatabase(): Promise<void> {
    const apis = await Promise.all([this.#startApi(), this.#startApi()]);
    await Promise.all(apis.map(({ origin }) => untilReady(origin)));
    for (const { container } of apis) {
      assert.equal(await container.stop(), 0, container.output);
    }
    say(
      '  two that started at once on an empty database both got ready, and SIGTERM ended them with 0',
    );
  }

  async #measureStarts(): Promise<void> {
    const times: number[] = [];
    const processorTimes: number[] = [];
    for (let start = 0; start < STARTS; start += 1) {
      const startedAt = performance.now();
      const { container, origin } = await this.#startApi();
      await untilReady(origin);
      times.push(Math.round(performance.now() - startedAt));
      processorTimes.push(container.processorSeconds());
      await container.stop();
    }
    times.sort((a, b) => a - b);
    const processorSeconds = Math.max(...processorTimes).toFixed(1);
    say(
      `  ready in ${times[0]} to ${times.at(-1)} ms, median ${times[STARTS >> 1]} ms, ` +
        `with at most ${processorSeconds} s of a processor`,
    );
  }

  async #smokeAndLoad(commit: string): Promise<void> {
    const { container, origin } = await this.#startApi();
    await untilReady(origin);
    const { port } = new URL(origin);
    const health = this.#start(['node', 'dist/healthcheck.js'], { PORT: port });
    assert.equal(await health.ended, 0, health.output);
    await delay(2_000);
    const idle = container.memory();

    await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.ts')]);
    say(await output(process.execPath, join(ROOT, 'scripts/smoke.ts'), origin, '--commit', commit));

    const answers = await runLoad(origin, LOAD_SECONDS);
    const loaded = container.memory();
    say(
      `  memory: ${idle.nowMb} MB at rest, ${loaded.nowMb} MB after ${answers} pulls and pushes in ` +
        `${LOAD_SECONDS} s, at most ${loaded.peakMb} MB`,
    );
    assert.equal(await container.stop(), 0, container.output);
    const after = this.#start(['node', 'dist/healthcheck.js'], { PORT: port });
    assert.equal(await after.ended, 1, after.output);
  }

  async #stopsWithDatabaseAway(): Promise<void> {
    const { container } = await this.#startApi({
      DATABASE_URL: 'postgresql://rind@127.0.0.1:1/rind',
    });
    assert.equal(await container.ended, 1, container.output);
    assert.match(container.output, /^The database "rind" on 127\.0\.0\.1:1 cannot be [^\n]+\n$/);
    say('  without a database it says so in one paragraph and exits with 1');
  }

  async #startApi(
    environment: Record<string, string> = {},
  ): Promise<{ container: Container; origin: string }> {
    const port = await findFreePort('127.0.0.1');
    const container = this.#start(this.#config.Cmd, {
      ...production,
      DATABASE_URL: this.#database?.url ?? '',
      PORT: String(port),
      ...environment,
    });
    return { container, origin: `http://127.0.0.1:${port}` };
  }

  #start(command: readonly string[], environment: Record<string, string> = {}): Container {
    const container = new Container(this.#root, this.#config, command, environment);
    this.#containers.push(container);
    return container;
  }
}

async function untilReady(origin: string): Promise<void> {
  const end = Date.now() + READY_TIMEOUT_MS;
  let last = 'no answer';
  while (Date.now() < end) {
    try {
      const response = await fetch(`${origin}/api/v1/health/ready`);
      last = `${response.status} ${await response.text()}`;
      if (response.ok) return;
    } catch {
      // It does not listen yet.
    }
    await delay(10);
  }
  throw new ExpectedError(`The container did not get ready: ${last}`);
}

async function installTools(): Promise<void> {
  const missing = ['buildah', 'debootstrap'].filter(
    (name) => !['/usr/bin', '/usr/sbin'].some((folder) => existsSync(join(folder, name))),
  );
  if (missing.length === 0) return;
  say(`Installing ${missing.join(' and ')}`);
  await output('apt-get', 'update', '-qq');
  await output('apt-get', 'install', '--yes', '--no-install-recommends', ...missing);
}

async function main(): Promise<void> {
  if (process.argv.includes('--help')) return say(HELP);
  if (process.getuid?.() !== 0) throw new ExpectedError('Run this as root: it makes a base image.');
  await installTools();
  const directory = await mkdtemp(join(tmpdir(), 'rind-image-'));
  // The user of the database has to pass through.
  await chmod(directory, 0o711);
  const check = new ImageCheck(directory);
  try {
    await check.run();
    say('The image is as it should be.');
  } finally {
    await check.end();
    await rm(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
