import { Injectable } from '@nestjs/common';
import type { AdminUser, ListUsersQuery, Page, UpdateUserBody } from '@rind/contracts';
import { AuditService } from '../audit/audit.service.js';
import { PrincipalsService } from '../auth/principals.service.js';
import { SessionsService } from '../auth/sessions.service.js';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import type { ClientInfo } from '../platform/http/client-info.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { UsersService } from '../users/users.service.js';

/** Who changes a user, and from where. */
interface Administrator {
  readonly principal: Principal;
  readonly client: ClientInfo;
}

/** The actor and origin of audit events; null where an operator works at the database. */
type Act = Administrator | null;

@Injectable()
export class AdminUsersService {
  constructor(
    private readonly audit: AuditService,
    private readonly database: Database,
    private readonly principals: PrincipalsService,
    private readonly sessions: SessionsService,
    private readonly users: UsersService,
  ) {}

  async list(query: ListUsersQuery): Promise<Page<AdminUser>> {
    return this.users.listForAdmin(query);
  }

  /**
   * @throws DomainError `not_found`; `last_admin` when no active administrator would be left;
   *   `forbidden` when the caller has just ceased to be one
   */
  async update(
    userId: string,
    body: UpdateUserBody,
    administrator: Administrator,
  ): Promise<AdminUser> {
    return this.database.transaction(async () => {
      const admins = await this.users.lockAdmins();
      if (!admins.includes(administrator.principal.userId)) throw new DomainError('forbidden');
      await this.users.lock(userId);
      const before = await this.users.getForAdmin(userId);
      const after = { ...before, ...pickGiven(body) };
      const remainsAdmin = after.isActive && after.roles.includes('admin');
      if (!remainsAdmin && admins.every((id) => id === userId)) throw new DomainError('last_admin');
      await this.changeRoles(before, body.roles, administrator);
      await this.changeActivity(before, after.isActive, administrator);
      return this.users.getForAdmin(userId);
    });
  }

  /**
   * For who has access to the database, and the first administrator to make.
   *
   * @throws DomainError `not_found`
   */
  async grantAdmin(email: string): Promise<AdminUser> {
    const account = await this.users.findCredentials(email.trim().toLowerCase());
    if (!account) throw new DomainError('not_found');
    return this.database.transaction(async () => {
      await this.users.lockAdmins();
      await this.users.lock(account.userId);
      const before = await this.users.getForAdmin(account.userId);
      const isAdmin = before.roles.includes('admin');
      await this.changeRoles(before, isAdmin ? undefined : [...before.roles, 'admin'], null);
      return this.users.getForAdmin(account.userId);
    });
  }

  private async changeRoles(user: AdminUser, roles: readonly string[] | undefined, act: Act) {
    const wanted = [...new Set(roles ?? [])].toSorted();
    if (roles === undefined || String(wanted) === String(user.roles)) return;
    await this.users.setRoles(user.id, wanted, user.roles);
    const detail = { before: user.roles, after: wanted };
    await this.record({ action: 'roles_changed', userId: user.id, detail }, act);
    this.database.afterCommit(() => this.principals.forget({ userId: user.id }));
  }

  private async changeActivity(user: AdminUser, isActive: boolean, act: Act) {
    if (isActive === user.isActive) return;
    await this.users.setActive(user.id, isActive);
    if (!isActive) {
      const cause = { reason: 'deactivated', client: act && act.client } as const;
      await this.sessions.endAll(user.id, undefined, cause);
    }
    const action = isActive ? 'user_reactivated' : 'user_deactivated';
    await this.record({ action, userId: user.id }, act);
  }

  private async record(event: Parameters<AuditService['record']>[0], act: Act) {
    const actor = act && { actorId: act.principal.userId };
    await this.audit.record({ ...event, ...actor }, act && act.client);
  }
}

/** What a body leaves out keeps its value. */
function pickGiven({ roles, isActive }: UpdateUserBody): Partial<AdminUser> {
  return { ...(roles && { roles }), ...(isActive !== undefined && { isActive }) };
}
