import { Injectable } from '@nestjs/common';
import type { IdentityList, UnlinkIdentityBody } from '@rind/contracts';
import { AuditService } from '../../audit/audit.service.js';
import { Database } from '../../platform/database/database.js';
import { DomainError } from '../../platform/errors/domain.error.js';
import type { ClientInfo } from '../../platform/http/client-info.decorator.js';
import type { Principal } from '../../platform/http/principal.js';
import { UsersService } from '../../users/users.service.js';
import { ReauthenticationService } from '../reauthentication.service.js';
import { SessionsService } from '../sessions.service.js';
import { toIdentity } from './identities.mapper.js';
import { IdentitiesRepository } from './identities.repository.js';

/** The accounts elsewhere that sign a user in. */
@Injectable()
export class IdentitiesService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly reauthentication: ReauthenticationService,
    private readonly users: UsersService,
    private readonly identities: IdentitiesRepository,
    private readonly sessions: SessionsService,
  ) {}

  async list({ userId }: Principal): Promise<IdentityList> {
    const rows = await this.identities.list(userId);
    return { items: rows.map(toIdentity), nextCursor: null };
  }

  /**
   * @throws DomainError as `ReauthenticationService.require`; `not_found`; `last_sign_in_method`;
   *   `session_ended`
   */
  async unlink(
    id: string,
    principal: Principal,
    proof: UnlinkIdentityBody,
    client: ClientInfo,
  ): Promise<void> {
    await this.reauthentication.require(principal, proof, client);
    const { userId, sessionId } = principal;
    await this.database.transaction(async () => {
      // Of two removals, the second sees what the first has left.
      await this.sessions.lockSignedIn(principal);
      const identities = await this.identities.list(userId);
      const identity = identities.find((candidate) => candidate.id === id);
      if (!identity) throw new DomainError('not_found', { detail: 'There is no such identity' });
      const hasPassword = (await this.users.findPasswordHash(userId)) !== null;
      if (identities.length === 1 && !hasPassword) throw new DomainError('last_sign_in_method');
      await this.identities.delete(id);
      const detail = { provider: identity.provider };
      await this.audit.record({ action: 'identity_unlinked', userId, sessionId, detail }, client);
    });
  }
}
