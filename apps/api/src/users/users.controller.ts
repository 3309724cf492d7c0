import { Body, Controller, Get, Param, Patch } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  AdminUser,
  Preferences,
  UpdateMeBody,
  UpdatePreferencesBody,
  User,
  UserId,
} from '@rind/contracts';
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

  @Patch('me')
  @ApiRoute({
    operationId: 'updateMe',
    summary: 'Change name and language of the signed-in user',
    answers: [{ status: 200, description: 'The user as of now', schema: User }],
    problems: ['validation_failed'],
  })
  updateMe(
    @CurrentPrincipal() { userId }: Principal,
    @Body({ schema: UpdateMeBody }) body: UpdateMeBody,
  ): Promise<User> {
    return this.users.update(userId, body);
  }

  @Get('me/preferences')
  @ApiRoute({
    operationId: 'getPreferences',
    summary: 'What apps keep for the signed-in user',
    answers: [{ status: 200, description: 'All preferences', schema: Preferences }],
  })
  getPreferences(@CurrentPrincipal() { userId }: Principal): Promise<Preferences> {
    return this.users.getPreferences(userId);
  }

  @Patch('me/preferences')
  @ApiRoute({
    operationId: 'updatePreferences',
    summary: 'Replace the values of the keys given, and remove those given as null',
    description: 'All preferences together have at most 16384 characters as JSON, and 8 levels.',
    answers: [{ status: 200, description: 'All preferences as of now', schema: Preferences }],
    problems: ['validation_failed'],
  })
  updatePreferences(
    @CurrentPrincipal() { userId }: Principal,
    @Body({ schema: UpdatePreferencesBody }) body: UpdatePreferencesBody,
  ): Promise<Preferences> {
    return this.users.updatePreferences(userId, body);
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
