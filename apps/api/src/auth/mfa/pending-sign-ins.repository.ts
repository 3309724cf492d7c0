import { Injectable } from '@nestjs/common';
import { Device } from '@rind/contracts';
import { Database } from '../../platform/database/database.js';
import type { Prisma } from '../../platform/database/generated/client.js';
import type { SignIn } from '../sign-in.js';

type TokenHash = Uint8Array<ArrayBuffer>;

interface NewPendingSignIn {
  readonly tokenHash: TokenHash;
  readonly signIn: SignIn;
  readonly lifetimeSeconds: number;
}

/** Sign-ins that wait for their second factor. What ends a user's sessions deletes them, too. */
@Injectable()
export class PendingSignInsRepository {
  constructor(private readonly database: Database) {}

  async create({ tokenHash, signIn, lifetimeSeconds }: NewPendingSignIn): Promise<void> {
    const { userId, method, device } = signIn;
    await this.prisma.$executeRaw`
      INSERT INTO pending_sign_ins (token_hash, user_id, method, device, expires_at)
      VALUES (${tokenHash}, ${userId}::uuid, ${method}, ${device ? JSON.stringify(device) : null}::jsonb,
              now() + make_interval(secs => ${lifetimeSeconds}))`;
  }

  /** Null when it is gone, expired or was tried too often. */
  async findUserId(tokenHash: TokenHash, limit: number): Promise<string | null> {
    const rows = await this.prisma.$queryRaw<Array<{ userId: string }>>`
      SELECT user_id AS "userId" FROM pending_sign_ins
      WHERE token_hash = ${tokenHash} AND expires_at > now() AND attempts < ${limit}`;
    return rows[0]?.userId ?? null;
  }

  /** Counts a try, and holds the row. Null as `findUserId`. */
  async attempt(tokenHash: TokenHash, limit: number): Promise<SignIn | null> {
    const rows = await this.prisma.$queryRaw<
      Array<{ userId: string; method: SignIn['method']; device: unknown }>
    >`
      UPDATE pending_sign_ins SET attempts = attempts + 1
      WHERE token_hash = ${tokenHash} AND expires_at > now() AND attempts < ${limit}
      RETURNING user_id AS "userId", method, device`;
    const [row] = rows;
    return row ? { ...row, device: Device.optional().parse(row.device ?? undefined) } : null;
  }

  async delete(tokenHash: TokenHash): Promise<void> {
    await this.prisma.pendingSignIn.deleteMany({ where: { tokenHash } });
  }

  async deleteExpired(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      DELETE FROM pending_sign_ins WHERE token_hash IN (
        SELECT token_hash FROM pending_sign_ins WHERE expires_at <= now()
        ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
