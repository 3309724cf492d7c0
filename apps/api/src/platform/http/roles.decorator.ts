import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { Role } from '@rind/contracts';

export const ROLES = 'x-roles';

/** Leaves a route, or all routes of a controller, to callers who have one of these roles. */
export const Roles = (...roles: [Role, ...Role[]]) =>
  applyDecorators(SetMetadata(ROLES, roles), ApiExtension(ROLES, roles));
