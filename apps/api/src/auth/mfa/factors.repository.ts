import { Injectable } from '@nestjs/common';
import { Database } from '../../platform/database/database.js';
import type { Prisma } from '../../platform/database/generated/client.js';
import type { SealedSecret } from '../../platform/encryption/secret-box.js';

/** An authenticator app, enrolled or about to be. */
export interface TotpFactor {
  readonly secret: SealedSecret;
  /** Null until a first code has shown that the app has the secret. */
  readonly activatedAt: Date | null;
}

/** The authenticator apps of users and their recovery codes. */
@Injectable()
export class FactorsRepository {
  constructor(private readonly database: Database) {}

  async find(userId: string): Promise<TotpFactor | null> {
    const row = await this.prisma.totpFactor.findUnique({ where: { userId } });
    return (
      row && {
        secret: { bytes: Uint8Array.from(row.secret), keyId: row.keyId },
        activatedAt: row.activatedAt,
      }
    );
  }

  async countRecoveryCodes(userId: string): Promise<number> {
    return this.prisma.recoveryCode.count({ where: { userId } });
  }

  /** Secrets that only this key opens. */
  async countUnderKey(keyId: string): Promise<number> {
    return this.prisma.totpFactor.count({ where: { keyId } });
  }

  /** In place of one that was never activated. False when an active one is there. */
  async propose(userId: string, { bytes, keyId }: SealedSecret): Promise<boolean> {
    const count = await this.prisma.$executeRaw`
      INSERT INTO totp_factors (user_id, secret, key_id) VALUES (${userId}::uuid, ${bytes}, ${keyId})
      ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, key_id = excluded.key_id, created_at = now()
      WHERE totp_factors.activated_at IS NULL`;
    return count > 0;
  }

  /** False when the secret is no longer the one that the code was checked with, or is active already. */
  async activate(userId: string, secret: SealedSecret, step: number): Promise<boolean> {
    const { count } = await this.prisma.totpFactor.updateMany({
      where: { userId, activatedAt: null, secret: secret.bytes },
      data: { activatedAt: new Date(), lastUsedStep: step },
    });
    return count > 0;
  }

  /** False when a code of this step or a later one was used before, of two at once for one of them. */
  async useStep(userId: string, secret: SealedSecret, step: number): Promise<boolean> {
    const { count } = await this.prisma.totpFactor.updateMany({
      where: {
        userId,
        activatedAt: { not: null },
        secret: secret.bytes,
        OR: [{ lastUsedStep: null }, { lastUsedStep: { lt: step } }],
      },
      data: { lastUsedStep: step },
    });
    return count > 0;
  }

  /** For who holds the row: in the transaction of `useStep`. */
  async replaceSecret(userId: string, { bytes, keyId }: SealedSecret): Promise<void> {
    await this.prisma.totpFactor.update({ where: { userId }, data: { secret: bytes, keyId } });
  }

  /** False when there is no such code, or it was used before, of two at once for one of them. */
  async useRecoveryCode(userId: string, codeHash: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const { count } = await this.prisma.recoveryCode.deleteMany({ where: { userId, codeHash } });
    return count > 0;
  }

  async replaceRecoveryCodes(
    userId: string,
    hashes: ReadonlyArray<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    await this.prisma.recoveryCode.deleteMany({ where: { userId } });
    await this.prisma.recoveryCode.createMany({
      data: hashes.map((codeHash) => ({ userId, codeHash })),
    });
  }

  /** With the recovery codes. False when another request was faster. */
  async delete(userId: string): Promise<boolean> {
    const { count } = await this.prisma.totpFactor.deleteMany({ where: { userId } });
    await this.prisma.recoveryCode.deleteMany({ where: { userId } });
    return count > 0;
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
