import { Injectable } from '@nestjs/common';
import type { OAuthProviderName } from '@rind/contracts';
import { Database } from '../../platform/database/database.js';
import type { Prisma } from '../../platform/database/generated/client.js';

export interface Flow {
  readonly returnTo: string;
  readonly codeChallenge: string;
  readonly purpose: 'sign_in' | 'link';
}

export interface NewFlow extends Flow {
  readonly id: Uint8Array<ArrayBuffer>;
  readonly provider: string;
  readonly lifetimeSeconds: number;
}

/** Of a sign-in with `userId`, of an account to link with `subject`. */
export interface Code {
  readonly userId: string | null;
  readonly provider: OAuthProviderName;
  readonly subject: string | null;
  readonly email: string | null;
  readonly codeChallenge: string;
}

export interface NewCode extends Code {
  readonly id: Uint8Array<ArrayBuffer>;
  readonly lifetimeSeconds: number;
}

/** Flows and codes: what lives for minutes and is used once. All times are those of the database's clock. */
@Injectable()
export class OAuthFlowsRepository {
  constructor(private readonly database: Database) {}

  async createFlow(flow: NewFlow): Promise<void> {
    await this.prisma.$executeRaw`
      INSERT INTO oauth_flows (id, provider, return_to, code_challenge, purpose, expires_at)
      VALUES (${flow.id}, ${flow.provider}, ${flow.returnTo}, ${flow.codeChallenge}, ${flow.purpose},
              now() + make_interval(secs => ${flow.lifetimeSeconds}))`;
  }

  /** Null when there is none, it has expired, or it was taken before. */
  async takeFlow(id: Uint8Array, provider: string): Promise<Flow | null> {
    const rows = await this.prisma.$queryRaw<Flow[]>`
      DELETE FROM oauth_flows WHERE id = ${id} AND provider = ${provider} AND expires_at > now()
      RETURNING return_to AS "returnTo", code_challenge AS "codeChallenge", purpose`;
    return rows[0] ?? null;
  }

  async createCode(code: NewCode): Promise<void> {
    await this.prisma.$executeRaw`
      INSERT INTO oauth_codes (id, user_id, provider, subject, email, code_challenge, expires_at)
      VALUES (${code.id}, ${code.userId}::uuid, ${code.provider}, ${code.subject}, ${code.email}, ${code.codeChallenge},
              now() + make_interval(secs => ${code.lifetimeSeconds}))`;
  }

  /** Null when there is none, it has expired, or it was taken before. */
  async takeCode(id: Uint8Array): Promise<Code | null> {
    const rows = await this.prisma.$queryRaw<Code[]>`
      DELETE FROM oauth_codes WHERE id = ${id} AND expires_at > now()
      RETURNING user_id AS "userId", provider, subject, email, code_challenge AS "codeChallenge"`;
    return rows[0] ?? null;
  }

  async deleteCodesOf(userId: string): Promise<void> {
    await this.prisma.oAuthCode.deleteMany({ where: { userId } });
  }

  async deleteExpiredFlows(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      DELETE FROM oauth_flows WHERE id IN (
        SELECT id FROM oauth_flows WHERE expires_at <= now()
        ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }

  async deleteExpiredCodes(limit: number): Promise<number> {
    return this.prisma.$executeRaw`
      DELETE FROM oauth_codes WHERE id IN (
        SELECT id FROM oauth_codes WHERE expires_at <= now()
        ORDER BY expires_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)`;
  }

  private get prisma(): Prisma.TransactionClient {
    return this.database.prisma;
  }
}
