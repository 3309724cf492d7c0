// The backend that tutorials and published examples for WatermelonDB show, at its best: Fastify, one verification of
// the token, Prisma for everything. Nothing in it is slow on purpose.
import { createSecretKey } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import Fastify, { type FastifyRequest } from 'fastify';
import jwt from 'jsonwebtoken';
import { type Prisma, PrismaClient } from '../../../api/dist/platform/database/generated/client.js';

const BODY_LIMIT_BYTES = 256 * 1024 * 1024;
/** Ten thousand records take longer than Prisma's own five seconds. */
const TRANSACTION_TIMEOUT_MS = 120_000;

interface Changes<Row> {
  created: Row[];
  updated: Row[];
  deleted: string[];
}

interface RawProject {
  id: string;
  name: string;
  description: string | null;
  created_at: number;
  updated_at: number;
}

interface RawTask {
  id: string;
  title: string;
  description: string | null;
  is_completed: boolean;
  project_id: string;
  created_at: number;
  updated_at: number;
}

interface PushBody {
  changes: { projects: Changes<RawProject>; tasks: Changes<RawTask> };
  lastPulledAt: number | null;
}

class Conflict extends Error {}

const prisma = new PrismaClient({
  adapter: new PrismaPg({
    connectionString: process.env['DATABASE_URL']!,
    max: Number(process.env['DATABASE_POOL_SIZE']),
  }),
});
const key = createSecretKey(Buffer.from(process.env['JWT_SECRET']!));
const app = Fastify({ bodyLimit: BODY_LIMIT_BYTES });

function userOf(request: FastifyRequest): string {
  const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
  const claims = jwt.verify(token, key, { algorithms: ['HS256'] }) as { sub: string };
  return claims.sub;
}

app.get('/ready', () => ({ ready: true }));

app.get<{ Querystring: { lastPulledAt: string } }>('/sync/pull', async (request, reply) => {
  const userId = userOf(request);
  const since = Number(request.query.lastPulledAt) || 0;
  const timestamp = Date.now();
  const where = { userId, version: { gt: since } };
  const [projects, tasks] = await Promise.all([
    prisma.project.findMany({ where }),
    prisma.task.findMany({ where }),
  ]);
  const changes = {
    projects: toChanges(projects, ({ id, name, description, createdAt, updatedAt }) => ({
      id,
      name,
      description,
      created_at: createdAt,
      updated_at: updatedAt,
    })),
    tasks: toChanges(tasks, (task) => ({
      id: task.id,
      title: task.title,
      description: task.description,
      is_completed: task.isCompleted,
      project_id: task.projectId,
      created_at: task.createdAt,
      updated_at: task.updatedAt,
    })),
  };
  return reply.type('application/json').send(JSON.stringify({ changes, timestamp }));
});

function toChanges<Row extends { id: string; isDeleted: boolean }, Raw>(
  rows: readonly Row[],
  toRaw: (row: Row) => Raw,
): { created: Raw[]; updated: Raw[]; deleted: string[] } {
  return {
    created: [],
    updated: rows.filter(({ isDeleted }) => !isDeleted).map(toRaw),
    deleted: rows.filter(({ isDeleted }) => isDeleted).map(({ id }) => id),
  };
}

app.post<{ Body: PushBody }>('/sync/push', async (request, reply) => {
  const userId = userOf(request);
  const { changes, lastPulledAt } = request.body;
  const push = { userId, since: lastPulledAt ?? 0, version: Date.now() };
  try {
    await prisma.$transaction(
      async (transaction) => {
        await pushProjects(transaction, push, changes.projects);
        await pushTasks(transaction, push, changes.tasks);
      },
      { maxWait: TRANSACTION_TIMEOUT_MS, timeout: TRANSACTION_TIMEOUT_MS },
    );
    return { timestamp: push.version };
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    return reply.code(409).send({ message: 'conflict' });
  }
});

interface PushState {
  userId: string;
  since: number;
  version: number;
}

async function pushProjects(
  transaction: Prisma.TransactionClient,
  { userId, since, version }: PushState,
  { created, updated, deleted }: Changes<RawProject>,
): Promise<void> {
  for (const { id, name, description, created_at, updated_at } of [...created, ...updated]) {
    const where = { userId_id: { userId, id } };
    refuseConflict(await transaction.project.findUnique({ where }), since);
    const values = { name, description, createdAt: created_at, updatedAt: updated_at };
    const data = { ...values, version, isDeleted: false };
    await transaction.project.upsert({ where, create: { userId, id, ...data }, update: data });
  }
  if (deleted.length === 0) return;
  await transaction.project.updateMany({
    where: { userId, id: { in: deleted } },
    data: { isDeleted: true, version },
  });
}

async function pushTasks(
  transaction: Prisma.TransactionClient,
  { userId, since, version }: PushState,
  { created, updated, deleted }: Changes<RawTask>,
): Promise<void> {
  for (const task of [...created, ...updated]) {
    const where = { userId_id: { userId, id: task.id } };
    refuseConflict(await transaction.task.findUnique({ where }), since);
    const data = {
      title: task.title,
      description: task.description,
      isCompleted: task.is_completed,
      projectId: task.project_id,
      createdAt: task.created_at,
      updatedAt: task.updated_at,
      version,
      isDeleted: false,
    };
    const create = { userId, id: task.id, ...data };
    await transaction.task.upsert({ where, create, update: data });
  }
  if (deleted.length === 0) return;
  await transaction.task.updateMany({
    where: { userId, id: { in: deleted } },
    data: { isDeleted: true, version },
  });
}

function refuseConflict(existing: { version: bigint } | null, since: number): void {
  if (existing && existing.version > since) throw new Conflict();
}

process.once('SIGTERM', () => {
  void app
    .close()
    .then(() => prisma.$disconnect())
    .then(() => process.exit(0));
});

await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
