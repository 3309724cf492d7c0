import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { plainAddress } from './client-address.js';

/** Where a request comes from, as shown in the list of sessions and kept in audit events. */
export interface ClientInfo {
  readonly ip: string;
  readonly userAgent: string | null;
  readonly requestId: string;
}

const MAX_USER_AGENT_LENGTH = 400;

export const CurrentClient = createParamDecorator(
  (_data: unknown, context: ExecutionContext): ClientInfo => {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    return {
      ip: plainAddress(request.ip),
      userAgent: request.headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null,
      requestId: request.id,
    };
  },
);
