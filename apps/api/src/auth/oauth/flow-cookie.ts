import { Injectable } from '@nestjs/common';
import { type AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
// The parser behind Nest's `@Cookies()`; the name depends on the configuration.
import { getRequestCookie } from '@nestjs/core/helpers/cookies/request-cookies.js';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../platform/config/config.js';
import { InjectConfig } from '../../platform/config/config.module.js';
import { FLOW_LIFETIME_SECONDS } from './oauth-flows.service.js';

/**
 * The cookie that ties the way back from a provider to the browser that was sent there. `None`,
 * because Apple posts a form from its own site, and no other cookie would come with it. On
 * http://localhost browsers take neither the prefix nor `None`.
 */
@Injectable()
export class FlowCookie {
  private readonly isSecure: boolean;

  constructor(
    @InjectConfig() { oauth }: Config,
    private readonly host: HttpAdapterHost<AbstractHttpAdapter>,
  ) {
    this.isSecure = oauth.publicUrl.startsWith('https:');
  }

  read(request: FastifyRequest): string | undefined {
    return getRequestCookie(request, this.name) || undefined;
  }

  set(reply: FastifyReply, value: string): void {
    this.write(reply, value, FLOW_LIFETIME_SECONDS);
  }

  clear(reply: FastifyReply): void {
    this.write(reply, '', 0);
  }

  private write(reply: FastifyReply, value: string, maxAge: number): void {
    this.host.httpAdapter.setCookie(reply, this.name, value, {
      maxAge,
      path: '/',
      httpOnly: true,
      secure: this.isSecure,
      sameSite: this.isSecure ? 'none' : 'lax',
    });
  }

  private get name(): string {
    return this.isSecure ? '__Host-rind_oauth' : 'rind_oauth';
  }
}
