import { appendFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Secret } from 'otpauth';
import pg from 'pg';
import { levels } from 'pino';
import type { Config } from '../../src/platform/config/config.js';
import { JsonLogger } from '../../src/platform/logging/json-logger.js';
import { SecretFinder } from './secret-finder.js';
import { ANSWERS_VARIABLE, dataDirectoryOf, onDrop } from './test-database.js';

/** What carries a secret, by the names that our bodies and those of providers give it. */
const SECRET_NAME =
  /^(password|currentPassword|newPassword|accessToken|access_token|refreshToken|mfaToken|token|code|idToken|id_token|codeVerifier|code_verifier|client_secret|secret|otpauthUrl|recoveryCodes|state|nonce)$/;
/** Settings that nobody but the operator may know. */
const SECRET_SETTING = /(SECRET|KEY|TOKEN)(_PREVIOUS)?$/;
const LARGEST_ANSWER_BYTES = 64 * 1024;

/**
 * Sees all that goes into and out of the API in one test file: remembers every secret among it, and
 * every line of the log. When a database of the file is dropped, none of the secrets may stand in the
 * log, in the tables, or in a job that ever was.
 */
class Witness {
  private readonly secrets = new SecretFinder();
  private readonly lines: string[] = [];
  private readonly outputs: Array<() => string> = [];
  private readonly problems = new Set<string>();

  /** A logger that keeps every line, down to the finest, and prints what the configuration asks for. */
  logger({ logLevel }: Pick<Config, 'logLevel'>): JsonLogger {
    const printed = levels.values[logLevel] ?? Infinity;
    const write = (line: string) => {
      this.hear(line);
      const level = /^{"level":"(\w+)"/.exec(line)?.[1] ?? '';
      if (levels.values[level]! >= printed) process.stdout.write(line);
    };
    return new JsonLogger({ logLevel: 'trace' }, { write });
  }

  hear(line: string): void {
    this.lines.push(line);
  }

  /** What a process of its own prints, as it is known when it is searched. */
  hearOutput(output: () => string): void {
    this.outputs.push(output);
  }

  seeEnvironment(environment: Readonly<Record<string, string | undefined>>): void {
    for (const [name, value = ''] of Object.entries(environment)) {
      if (SECRET_SETTING.test(name))
        for (const each of value.split(',')) this.secrets.add(name, each);
    }
  }

  /** Before the application listens. Whatever client asks, its request comes by here. */
  seeTraffic(app: NestFastifyApplication): void {
    const fastify = app.getHttpAdapter().getInstance();
    fastify.addHook('onRequest', async ({ url, headers }) => {
      this.seeUrl(url);
      this.seeHeaders(headers.authorization, headers.cookie?.split(';'));
    });
    fastify.addHook('preValidation', async ({ url, body }) => {
      if (!isSync(url)) this.seeBody(body);
    });
    fastify.addHook('onSend', async (request, reply, payload) => {
      const type = String(reply.getHeader('content-type'));
      if (type.startsWith('application/problem+json')) {
        const { code } = JSON.parse(String(payload)) as { code: string };
        const route = request.routeOptions.url?.replaceAll(/:(\w+)/g, '{$1}');
        this.problems.add(`${request.method} ${route} ${code}`);
      } else if (typeof payload === 'string' && !isSync(request.url)) {
        this.seeText(payload);
      }
      this.seeHeaders(undefined, [reply.getHeader('set-cookie') ?? []].flat().map(String));
      const location = reply.getHeader('location');
      if (typeof location === 'string') this.seeUrl(location);
    });
  }

  /** What tests ask of other processes, and what the API asks of providers. */
  seeFetch(): void {
    const original = globalThis.fetch;
    globalThis.fetch = async (input, init) => {
      const request =
        input instanceof Request ? input : new Request(input, { headers: init?.headers ?? {} });
      this.seeHeaders(
        request.headers.get('authorization') ?? undefined,
        request.headers.get('cookie')?.split(';'),
      );
      if (!isSync(request.url)) {
        this.seeText(input instanceof Request ? await input.clone().text() : textOf(init?.body));
      }
      const response = await original(input, init);
      const bytes = Number(response.headers.get('content-length') ?? Infinity);
      if (!isSync(request.url) && bytes <= LARGEST_ANSWER_BYTES && !isProblem(response)) {
        this.seeText(await response.clone().text());
      }
      return response;
    };
  }

  /** Written down for the end of the run, which knows what every route declares. */
  tellProblems(): void {
    const file = process.env[ANSWERS_VARIABLE];
    if (file) appendFileSync(file, [...this.problems].map((line) => `${line}\n`).join(''));
  }

  /** @throws Error that names what was found, and where */
  async search(databaseUrl: string): Promise<void> {
    await this.seeMails(databaseUrl);
    const found = [
      ...this.searchIn('the log', this.lines.map(withoutOutboxLink).join('')),
      ...this.outputs.flatMap((output) =>
        this.searchIn(
          'the output of a process',
          output().split('\n').map(withoutOutboxLink).join('\n'),
        ),
      ),
    ];
    for await (const [table, rows] of readTables(databaseUrl)) {
      found.push(...this.searchIn(`table ${table}`, rows));
    }
    if (found.length > 0) throw new Error(`Secrets were written down:\n${found.join('\n')}`);
  }

  private searchIn(place: string, text: string): string[] {
    return this.secrets.find(text).map((secret) => `${place}: ${secret}`);
  }

  private seeHeaders(authorization: string | undefined, cookies: readonly string[] = []): void {
    if (authorization) this.see('authorization', authorization.replace(/^\S+ +/, ''));
    for (const cookie of cookies) {
      const [, name = '', value = ''] = /^\s*([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.see(`cookie ${name}`, decodeURIComponent(value));
    }
  }

  private seeUrl(url: string): void {
    const query = url.split('?', 2)[1];
    if (query !== undefined) this.seeForm(query);
  }

  private seeForm(text: string): void {
    for (const [name, value] of new URLSearchParams(text)) {
      if (SECRET_NAME.test(name)) this.see(name, value);
    }
  }

  private seeText(text: string): void {
    if (text.startsWith('{')) {
      try {
        this.seeBody(JSON.parse(text));
      } catch {
        // Not JSON, or cut off: a test of that.
      }
    } else if (text.includes('=')) {
      this.seeForm(text);
    }
  }

  private seeBody(body: unknown, name = ''): void {
    if (typeof body === 'string') {
      if (SECRET_NAME.test(name)) this.see(name, body);
    } else if (Array.isArray(body)) {
      for (const value of body) this.seeBody(value, name);
    } else if (typeof body === 'object' && body !== null) {
      for (const [key, value] of Object.entries(body)) this.seeBody(value, key);
    }
  }

  private see(name: string, secret: string): void {
    this.secrets.add(name, secret);
    const signature = /^[\w-]+\.[\w-]+\.([\w-]+)$/.exec(secret)?.[1];
    if (signature !== undefined) this.secrets.add(`signature of ${name}`, signature);
    if (name === 'secret') this.secrets.add('bytes of the TOTP secret', bytesOfTotp(secret));
    if (name === 'recoveryCodes') this.secrets.add(name, secret.replaceAll('-', '').toUpperCase());
  }

  private async seeMails(databaseUrl: string): Promise<void> {
    const outbox = path.join(dataDirectoryOf(databaseUrl), 'outbox');
    const files = await readdir(outbox).catch(() => []);
    for (const file of files.filter((name) => name.endsWith('.txt'))) {
      const mail = await readFile(path.join(outbox, file), 'utf8');
      for (const [, token = ''] of mail.matchAll(/[?&]token=([\w-]+)/g))
        this.see('mail token', token);
    }
  }
}

export const witness = new Witness();
witness.seeFetch();
onDrop((url) => witness.search(url));

/** Content of apps, large and without secrets. */
const isSync = (url: string) => url.includes('/sync/');

const textOf = (body: unknown) =>
  typeof body === 'string' || body instanceof URLSearchParams ? body.toString() : '';

const isProblem = ({ headers }: Response) =>
  headers.get('content-type')?.startsWith('application/problem+json') === true;

function bytesOfTotp(secret: string): string {
  try {
    return Buffer.from(Secret.fromBase32(secret).bytes).toString('hex');
  } catch {
    return '';
  }
}

/** The one place where a token may stand in clear: a developer's log tells where a mail's button leads. */
function withoutOutboxLink(line: string): string {
  if (!line.includes('"Mail written to outbox"')) return line;
  const { link, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const isException = rest['context'] === 'OutboxTransport' && typeof link === 'string';
  return isException ? `${JSON.stringify(rest)}\n` : line;
}

/** Every table that is not PostgreSQL's own, the record of jobs included, as text. */
async function* readTables(databaseUrl: string): AsyncGenerator<[table: string, rows: string]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(
        `SELECT row_to_json(t)::text AS row FROM ${name} t`,
      );
      yield [name, rows.map(({ row }) => row).join('\n')];
    }
  } finally {
    await client.end();
  }
}
