import { Injectable } from '@nestjs/common';
import { violatesIndex } from '../../platform/database/database-errors.js';
import { Database } from '../../platform/database/database.js';
import type { OAuthIdentity, Prisma } from '../../platform/database/generated/client.js';

interface NewIdentity {
  readonly userId: string;
  readonly provider: string;
  readonly subject: string;
  readonly email: string | null;
}

/** Somebody else was first, in this very moment. */
export class IdentityTakenError extends Error {
  override readonly name = 'IdentityTakenError';
}

@Injectable()
export class IdentitiesRepository {
  constructor(private readonly database: Database) {}

  /**
   * Whose it is. Holds user and identity to the end of the transaction, in the order of whoever removes
   * identities: what is done for one is done before it goes, or not at all.
   */
  async lockUserId(provider: string, subject: string): Promise<string | null> {
    const rows = await this.prisma.$queryRaw<Array<{ userId: string }>>`
      SELECT u.id AS "userId" FROM oauth_identities i JOIN users u ON u.id = i.user_id
      WHERE i.provider = ${provider} AND i.subject = ${subject}
      FOR NO KEY UPDATE OF u FOR UPDATE OF i`;
    return rows[0]?.userId ?? null;
  }

  async find(provider: string, subject: string): Promise<OAuthIdentity | null> {
    return this.prisma.oAuthIdentity.findUnique({
      where: { provider_subject: { provider, subject } },
    });
  }

  /** Null when it is linked already, to whomever. */
  async createUnlessTaken(identity: NewIdentity): Promise<OAuthIdentity | null> {
    const created = await this.prisma.oAuthIdentity.createManyAndReturn({
      data: [identity],
      skipDuplicates: true,
    });
    return created[0] ?? null;
  }

  /** @throws IdentityTakenError */
  async create(identity: NewIdentity): Promise<void> {
    try {
      await this.prisma.oAuthIdentity.create({ data: identity });
    } catch (error) {
      if (violatesIndex(error, 'oauth_identities_provider_subject_key')) {
        throw new IdentityTakenError('The identity was linked meanwhile', { cause: error });
      }
      throw error;
    }
  }

  async list(userId: string): Promise<OAuthIdentity[]> {
    return this.prisma.oAuthIdentity.findMany({ where: { userId }, orderBy: { id: 'asc' } });
  }

  async delete(id: string): Promise<void> {
    await this.prisma.oAuthIdentity.deleteMany({ where: { id } });
  }

  /** The providers that they were at. */
  async deleteAll(userId: string): Promise<string[]> {
    const rows = await this.prisma.$queryRaw<{ provider: string }[]>`
      DELETE FROM oauth_identities WHERE user_id = ${userId}::uuid RETURNING provider`;
    return rows.map(({ provider }) => provider);
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
