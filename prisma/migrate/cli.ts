import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadEnvFile } from '../checkout.ts';
import { databaseEnvironment, databaseUrlFrom } from '../database-url.ts';
import { operations, print, runCommand } from './commands.ts';
import { checkMigrations } from './check.ts';
import { createMigration } from './create.ts';
import { databaseDrift, schemaDrift } from './drift.ts';
import { UsageError } from './errors.ts';
import { withThrowawayServer } from './throwaway-server.ts';

const help = `Migrations of the database, with Prisma's schema engine and its _prisma_migrations table.

  npm run db:deploy                 apply pending migrations; creates the database if there is none
  npm run db:status                 list migrations and their state; exit 1 unless all are applied
  npm run db:create -- <name>       write the migration from the existing ones to schema.prisma
        --allow-empty               write it even if nothing changed, for SQL by hand
  npm run db:drift                  compare migrations with schema.prisma, and the database of
                                    DATABASE_URL, if set, with the migrations; exit 1 on a difference
        --schema-only               leave the database of DATABASE_URL alone
  npm run db:check                  find what would lock a table in use for long, or break the version
                                    before (docs/upgrading.md); exit 1 if there is any
  npm run db:resolve                record what became of a migration that failed
        --rolled-back <name>        nothing of it remains: the next deploy runs it again
        --applied <name>            it was completed by hand
  --help                            this text

${databaseEnvironment}  TEST_DATABASE_URL     server for the throw-away databases of create and drift; otherwise that of
                        DATABASE_URL, or an embedded PostgreSQL when neither is set
`;

const env = process.env;

async function create(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { 'allow-empty': { type: 'boolean', default: false } },
  });
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0) {
    throw new UsageError('Give the migration one name: npm run db:create -- add_due_date');
  }
  const created = await withThrowawayServer({ env, onProgress: print }, (serverUrl) =>
    createMigration({ serverUrl, name, allowEmpty: values['allow-empty'] }),
  );
  if (created === null) {
    print('Nothing to do: the migrations already lead to schema.prisma.');
    return 0;
  }
  print(
    `Wrote ${path.relative(process.cwd(), created.file)}. Read it, then run npm run db:deploy.`,
  );
  if (/\bDROP (TABLE|COLUMN)\b/.test(created.sql)) {
    print('It drops a table or a column with all that is in it: a rename looks like this, too.');
  }
  return 0;
}

async function drift(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { 'schema-only': { type: 'boolean', default: false } },
  });
  const { DATABASE_URL: _url, DATABASE_DIRECT_URL: _directUrl, ...envWithoutDatabase } = env;
  const serverEnv = values['schema-only'] ? envWithoutDatabase : env;
  const differences = [
    report(
      'The migrations lead to schema.prisma.',
      'schema.prisma differs from what the migrations make. Missing (npm run db:create writes it):',
      await withThrowawayServer({ env: serverEnv, onProgress: print }, (serverUrl) =>
        schemaDrift({ serverUrl }),
      ),
    ),
  ];
  const databaseUrl = databaseUrlFrom(serverEnv);
  if (databaseUrl !== undefined) {
    differences.push(
      report(
        'The database is what the migrations make.',
        'The database differs from what the migrations make. This SQL would lead back:',
        await databaseDrift({ databaseUrl }),
      ),
    );
  }
  return differences.includes(true) ? 1 : 0;
}

async function check(args: string[]): Promise<number> {
  parseArgs({ args });
  const findings = await checkMigrations();
  for (const { migration, line, rule, message } of findings) {
    print(`prisma/migrations/${migration}/migration.sql:${line}: ${rule}: ${message}`);
  }
  if (findings.length === 0) print('The migrations keep to the rules of docs/upgrading.md.');
  return findings.length === 0 ? 0 : 1;
}

function report(agreement: string, difference: string, sql: string | null): boolean {
  print(sql === null ? agreement : `${difference}\n\n${sql}`);
  return sql !== null;
}

loadEnvFile();
await runCommand({ ...operations, create, drift, check }, help, process.argv.slice(2));
