import { Controller, Get, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { AdminUser, User, UserId } from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { Roles } from '../platform/http/roles.decorator.js';
import { UsersService } from './users.service.js';

@ApiTags('users')
@Controller('users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get('me')
  @ApiRoute({
    operationId: 'getMe',
    summary: 'The signed-in user',
    answers: [{ status: 200, description: 'The user', schema: User }],
  })
  getMe(@CurrentPrincipal() { userId }: Principal): Promise<User> {
    return this.users.get(userId);
  }

  @Get(':id')
  @Roles('admin')
  @ApiRoute({
    operationId: 'getUser',
    summary: 'One user, for administrators',
    answers: [{ status: 200, description: 'The user', schema: AdminUser }],
    problems: ['validation_failed', 'not_found'],
  })
  getUser(@Param('id', { schema: UserId }) id: string): Promise<AdminUser> {
    return this.users.getForAdmin(id);
  }
}
