import { ConflictException, Injectable } from '@nestjs/common';
import type { Prisma } from '../../../api/dist/platform/database/generated/client.js';
import { PrismaService } from './prisma.service.js';

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

export interface SyncChanges {
  projects: Changes<RawProject>;
  tasks: Changes<RawTask>;
}

export interface PushBody {
  changes: SyncChanges;
  lastPulledAt: number | null;
}

interface PushState {
  userId: string;
  since: number;
  version: number;
}

@Injectable()
export class SyncService {
  constructor(private readonly prisma: PrismaService) {}

  async pull(userId: string, since: number): Promise<{ changes: SyncChanges; timestamp: number }> {
    const timestamp = Date.now();
    const where = { userId, version: { gt: since } };
    const [projects, tasks] = await Promise.all([
      this.prisma.project.findMany({ where }),
      this.prisma.task.findMany({ where }),
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
    return { changes, timestamp };
  }

  async push(userId: string, { changes, lastPulledAt }: PushBody): Promise<{ timestamp: number }> {
    const push = { userId, since: lastPulledAt ?? 0, version: Date.now() };
    await this.prisma.$transaction(
      async (transaction) => {
        await pushProjects(transaction, push, changes.projects);
        await pushTasks(transaction, push, changes.tasks);
      },
      { maxWait: TRANSACTION_TIMEOUT_MS, timeout: TRANSACTION_TIMEOUT_MS },
    );
    return { timestamp: push.version };
  }
}

function toChanges<Row extends { id: string; isDeleted: boolean }, Raw>(
  rows: readonly Row[],
  toRaw: (row: Row) => Raw,
): Changes<Raw> {
  return {
    created: [],
    updated: rows.filter(({ isDeleted }) => !isDeleted).map(toRaw),
    deleted: rows.filter(({ isDeleted }) => isDeleted).map(({ id }) => id),
  };
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
  if (existing && existing.version > since) throw new ConflictException();
}
