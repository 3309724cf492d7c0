import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Sampler } from '../load/interleave.ts';
import { SETTINGS } from '../load/postgres-connection.ts';
import type { LimitStatement } from './limit.ts';

const run = promisify(execFile);

/** In a line of pgbench's log: client, number, µs, … */
const LATENCY_COLUMN = 2;

/**
 * PostgreSQL's own load generator, with the SQL of the limit: where it is installed it checks that
 * the driver of the limit is not what is slow.
 */
export class Pgbench {
  private readonly databaseUrl: string;

  private constructor(databaseUrl: string) {
    this.databaseUrl = databaseUrl;
  }

  /** Null where it is not installed. */
  static async find(databaseUrl: string): Promise<Pgbench | null> {
    const version = await run('pgbench', ['--version']).catch(() => null);
    return version && new Pgbench(databaseUrl);
  }

  /** Times of the statements together, as often as told. */
  latency(statements: readonly LimitStatement[], repeats: number): Sampler {
    return {
      name: 'pgbench',
      sample: () =>
        this.withScript([statements], async (args, folder) => {
          // The first time, a connection has its catalogues to read and its statements to prepare.
          await this.run([...args, '-c', '1', '-t', String(repeats + 1), '--log'], folder);
          const [, ...lines] = (await readLog(folder)).trim().split('\n');
          return lines.map((line) => Number(line.split(' ')[LATENCY_COLUMN]) / 1000);
        }),
    };
  }

  /** How often a second the clients together run their statements, each its own. */
  throughput(clients: readonly (readonly LimitStatement[])[], seconds: number): Sampler {
    return {
      name: 'pgbench',
      sample: () =>
        this.withScript(clients, async (args, folder) => {
          const duration = String(Math.max(1, Math.round(seconds)));
          const output = await this.run(
            [...args, '-c', String(clients.length), '-T', duration],
            folder,
          );
          return [Number(/^tps = ([\d.]+)/m.exec(output)![1])];
        }),
    };
  }

  private async run(args: readonly string[], folder: string): Promise<string> {
    const { stdout } = await run('pgbench', ['-n', '-M', 'prepared', ...args, this.databaseUrl], {
      cwd: folder,
      env: { PATH: process.env['PATH'], PGOPTIONS: SETTINGS },
    });
    return stdout;
  }

  private async withScript<Result>(
    clients: readonly (readonly LimitStatement[])[],
    use: (args: readonly string[], folder: string) => Promise<Result>,
  ): Promise<Result> {
    const folder = await mkdtemp(path.join(tmpdir(), 'rind-pgbench-'));
    try {
      await writeFile(path.join(folder, 'script.sql'), toScript(clients));
      return await use(['-f', 'script.sql', ...toVariables(clients)], folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

async function readLog(folder: string): Promise<string> {
  const name = (await readdir(folder)).find((file) => file.startsWith('pgbench_log'));
  return readFile(path.join(folder, name!), 'utf8');
}

const variable = (client: number, statement: number, value: number) =>
  `c${client}_s${statement}_v${value}`;

/** Each client takes the branch of its number. */
function toScript(clients: readonly (readonly LimitStatement[])[]): string {
  const branches = clients.map((statements, client) => {
    const texts = statements.map(
      ({ text }, statement) =>
        `${text.replaceAll(/\$(\d+)/g, (_all, number: string) => `:${variable(client, statement, Number(number))}`)};`,
    );
    return `${client === 0 ? '\\if' : '\\elif'} :client_id = ${client}\n${texts.join('\n')}`;
  });
  return `\\set random random(1, 1000000000000000)\n${branches.join('\n')}\n\\endif\n`;
}

function toVariables(clients: readonly (readonly LimitStatement[])[]): string[] {
  return clients.flatMap((statements, client) =>
    statements.flatMap(({ values }, statement) =>
      values.flatMap((value, index) => [
        '-D',
        `${variable(client, statement, index + 1)}=${String(value)}`,
      ]),
    ),
  );
}
