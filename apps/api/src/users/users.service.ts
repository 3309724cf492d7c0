import { Injectable } from '@nestjs/common';
import {
  type AdminUser,
  fitsPreferences,
  Language,
  type ListUsersQuery,
  type Page,
  type Preferences,
  tooManyPreferences,
  type UpdateMeBody,
  type UpdatePreferencesBody,
  type User,
} from '@rind/contracts';
import { Database } from '../platform/database/database.js';
import { DomainError } from '../platform/errors/domain.error.js';
import { toPage } from '../platform/http/page-cursor.js';
import { Jobs } from '../platform/jobs/jobs.js';
import { SyncClocks } from '../sync/sync-clocks.js';
import { toAdminUser, toUser } from './users.mapper.js';
import {
  type Credentials,
  type NewUser,
  type Recipient,
  UsersRepository,
} from './users.repository.js';

type MailRecipient = Recipient & { readonly language: Language };

@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    private readonly users: UsersRepository,
    private readonly clocks: SyncClocks,
  ) {}

  /** The new user's id. Joins a current transaction. @throws DomainError `email_already_used` */
  async create(user: NewUser): Promise<string> {
    return this.database.transaction(async () => {
      const userId = await this.users.create(user);
      await this.clocks.start(userId);
      return userId;
    });
  }

  /** @throws DomainError `session_ended` when the account is gone */
  async get(userId: string): Promise<User> {
    const row = await this.users.find(userId);
    if (!row) throw new DomainError('session_ended');
    return toUser(row);
  }

  /** What the body leaves out keeps its value. @throws DomainError `session_ended` when the account is gone */
  async update(userId: string, body: UpdateMeBody): Promise<User> {
    if (Object.keys(body).length > 0) await this.users.update(userId, body);
    return this.get(userId);
  }

  /** @throws DomainError `session_ended` when the account is gone */
  async getPreferences(userId: string): Promise<Preferences> {
    const preferences = await this.users.findPreferences(userId);
    if (!preferences) throw new DomainError('session_ended');
    return preferences;
  }

  /**
   * Replaces the values of the keys given, and removes those given as null. Two devices that change
   * different keys at once both succeed.
   *
   * @throws DomainError `validation_failed` when all together become too many; `session_ended` when
   *   the account is gone
   */
  async updatePreferences(userId: string, changes: UpdatePreferencesBody): Promise<Preferences> {
    return this.database.transaction(async () => {
      await this.users.lock(userId);
      const entries = Object.entries({ ...(await this.getPreferences(userId)), ...changes });
      const preferences = Object.fromEntries(entries.filter(([, value]) => value !== null));
      if (!fitsPreferences(preferences)) {
        const fault = { pointer: '', code: 'too_big', message: tooManyPreferences };
        throw new DomainError('validation_failed', { faults: [fault] });
      }
      await this.users.setPreferences(userId, preferences);
      return preferences;
    });
  }

  /** As administrators see the user. @throws DomainError `not_found` */
  async getForAdmin(userId: string): Promise<AdminUser> {
    const row = await this.users.find(userId);
    if (!row) throw new DomainError('not_found', { detail: 'There is no user with this id.' });
    return toAdminUser(row);
  }

  async listForAdmin(query: ListUsersQuery): Promise<Page<AdminUser>> {
    return toPage(await this.users.list(query), query.limit, toAdminUser);
  }

  /**
   * Ids of the active administrators, which nobody else can change before the end of the current
   * transaction. To be called before `lock`.
   */
  async lockAdmins(): Promise<string[]> {
    return this.users.lockAdmins();
  }

  /** To the end of the current transaction. @throws DomainError `not_found` */
  async lock(userId: string): Promise<void> {
    if (await this.users.lock(userId)) return;
    throw new DomainError('not_found', { detail: 'There is no user with this id.' });
  }

  /** Joins the current transaction, in which the user was locked. */
  async setActive(userId: string, isActive: boolean): Promise<void> {
    await this.users.setActive(userId, isActive);
    // A push either was before this, or sees it.
    if (!isActive) await this.clocks.lock(userId);
  }

  /**
   * Locks the user, and then the clock, so that no push is under way. Joins the current transaction.
   *
   * @throws DomainError `last_admin`; `session_ended` when the account is gone
   */
  async lockForDeletion(userId: string): Promise<void> {
    const { roles } = await this.get(userId);
    const isLastAdmin =
      roles.includes('admin') && (await this.users.lockAdmins()).every((id) => id === userId);
    if (isLastAdmin) throw new DomainError('last_admin');
    if (!(await this.users.lock(userId))) throw new DomainError('session_ended');
    await this.clocks.lock(userId);
  }

  /** With everything that belongs to it. Joins the current transaction, in which the user was locked. */
  async delete(userId: string): Promise<void> {
    await this.jobs.removeOf(userId);
    await this.users.delete(userId);
  }

  async setRoles(
    userId: string,
    roles: readonly string[],
    before: readonly string[],
  ): Promise<void> {
    for (const role of before) {
      if (!roles.includes(role)) await this.users.removeRole(userId, role);
    }
    for (const role of roles) await this.users.addRole(userId, role);
  }

  async findCredentials(email: string): Promise<Credentials | null> {
    return this.users.findCredentials(email);
  }

  /** Null when no password is set. @throws DomainError `session_ended` when the account is gone */
  async findPasswordHash(userId: string): Promise<string | null> {
    const password = await this.users.findPassword(userId);
    if (!password) throw new DomainError('session_ended');
    return password.hash;
  }

  /** False when it was verified before, or the account is gone. Joins a current transaction. */
  async markEmailVerified(userId: string): Promise<boolean> {
    return this.users.markEmailVerified(userId);
  }

  /** Null when the account is gone or deactivated. */
  async findRecipient(userId: string): Promise<MailRecipient | null> {
    const recipient = await this.users.findRecipient(userId);
    return recipient && { ...recipient, language: Language.parse(recipient.language) };
  }

  /** @throws DomainError `session_ended` when the account is gone or deactivated */
  async getRecipient(userId: string): Promise<MailRecipient> {
    const recipient = await this.findRecipient(userId);
    if (!recipient) throw new DomainError('session_ended');
    return recipient;
  }

  /** Joins a current transaction. @throws DomainError `email_already_used` */
  async setVerifiedEmail(userId: string, email: string): Promise<void> {
    await this.users.setVerifiedEmail(userId, email);
  }

  /** With everything that belongs to it. False when the address was verified. Joins a current transaction. */
  async deleteUnverified(userId: string): Promise<boolean> {
    await this.jobs.removeOf(userId);
    return this.users.deleteUnverified(userId);
  }

  async setPasswordHash(userId: string, passwordHash: string): Promise<void> {
    await this.users.setPasswordHash(userId, passwordHash);
  }

  /** False when there was none. */
  async removePassword(userId: string): Promise<boolean> {
    return this.users.removePasswordHash(userId);
  }

  /** False when the password was changed meanwhile, which wins. */
  async replacePasswordHash(credentials: Credentials, newHash: string): Promise<boolean> {
    return this.users.replacePasswordHash(credentials, newHash);
  }
}
