import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { deployMigrations } from '../../../../prisma/migrate/deploy.ts';
import { readServerPid } from '../../../../scripts/embedded-postgres/orphan.ts';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../../scripts/embedded-postgres.ts';
import { databaseUrl, type TestDatabase } from './test-database.js';
import { witness } from './witness.js';

/** A node of an executed plan, as EXPLAIN (ANALYZE, FORMAT JSON) prints it. */
export interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Cond'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: PlanNode[];
}

export interface ExecutedPlan {
  'Query Text': string;
  Plan: PlanNode;
}

export type PlanCacheMode = 'force_generic_plan' | 'force_custom_plan';

const settings = `
session_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_timing = off
auto_explain.log_format = json
auto_explain.log_level = notice
`;

/** A PostgreSQL of its own, which tells each connection how its statements were executed. */
export class ExplainingServer {
  private databases = 0;

  private constructor(
    private readonly dataDir: string,
    private readonly server: EmbeddedPostgres,
  ) {}

  static async start(): Promise<ExplainingServer> {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'rind-plans-'));
    const server = await startEmbeddedPostgres({ dataDir, temporary: true });
    // Only a superuser may set these, or who owns the server's files.
    await appendFile(path.join(server.directory, 'postgresql.auto.conf'), settings);
    process.kill((await readServerPid(server.directory))!, 'SIGHUP');
    return new ExplainingServer(dataDir, server);
  }

  /** Migrated. */
  async createDatabase(mode: PlanCacheMode): Promise<TestDatabase> {
    this.databases += 1;
    const url = databaseUrl(this.server.url, `plans_${this.databases}`);
    await deployMigrations({ databaseUrl: url });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`ALTER DATABASE plans_${this.databases} SET plan_cache_mode = ${mode}`);
    await client.end();
    // It goes with its server.
    return { url, drop: () => witness.search(url) };
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Hears the plans of all statements of a pool, on connections that it makes from now on. */
export function onPlan(pool: pg.Pool, listener: (plan: ExecutedPlan) => void): void {
  pool.on('connect', (connection) =>
    connection.on('notice', ({ message }) => {
      const json = /^duration: .* plan:\n([^]*)$/.exec(message ?? '')?.[1];
      if (json !== undefined) listener(JSON.parse(json) as ExecutedPlan);
    }),
  );
}

export function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}
