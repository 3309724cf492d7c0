import { Body, Controller, Get, Param, Patch, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { AdminUser, AdminUserPage, ListUsersQuery, UpdateUserBody, UserId } from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { type ClientInfo, CurrentClient } from '../platform/http/client-info.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { Roles } from '../platform/http/roles.decorator.js';
import { AdminUsersService } from './admin-users.service.js';

@ApiTags('admin')
@Controller('admin/users')
@Roles('admin')
export class AdminUsersController {
  constructor(private readonly users: AdminUsersService) {}

  @Get()
  @ApiRoute({
    operationId: 'listUsers',
    summary: 'All users, newest first',
    answers: [{ status: 200, description: 'A page of users', schema: AdminUserPage }],
    problems: ['validation_failed'],
  })
  listUsers(@Query({ schema: ListUsersQuery }) query: ListUsersQuery): Promise<AdminUserPage> {
    return this.users.list(query);
  }

  @Patch(':id')
  @ApiRoute({
    operationId: 'updateUser',
    summary: 'Give and take roles, deactivate and reactivate',
    description: 'Deactivating ends all sessions of the user; reactivating brings none back.',
    answers: [{ status: 200, description: 'The user as of now', schema: AdminUser }],
    problems: ['validation_failed', 'not_found', 'last_admin'],
  })
  updateUser(
    @Param('id', { schema: UserId }) id: string,
    @Body({ schema: UpdateUserBody }) body: UpdateUserBody,
    @CurrentPrincipal() principal: Principal,
    @CurrentClient() client: ClientInfo,
  ): Promise<AdminUser> {
    return this.users.update(id, body, { principal, client });
  }
}
