import { Injectable, Logger } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../config/config.js';
import { InjectConfig } from '../config/config.module.js';
import { isPrivateAddress } from './client-address.js';

/**
 * Notices a reverse proxy that TRUST_PROXY does not cover: then all clients seem to have the
 * proxy's address, and share one rate limit.
 */
@Injectable()
export class ProxyWatch {
  private readonly logger = new Logger(ProxyWatch.name);
  private readonly isUnset: boolean;
  private hasUntrustedProxy = false;

  constructor(@InjectConfig() config: Config) {
    this.isUnset = config.http.trustProxy === null;
  }

  get isDegraded(): boolean {
    return this.hasUntrustedProxy;
  }

  observe(request: FastifyRequest): void {
    if (!this.isUnset || this.hasUntrustedProxy) return;
    const isForwarded = 'x-forwarded-for' in request.headers || 'forwarded' in request.headers;
    if (!isForwarded || !isPrivateAddress(request.socket.remoteAddress)) return;
    this.hasUntrustedProxy = true;
    this.logger.warn(
      `A request from ${request.socket.remoteAddress} carries a forwarded address, but TRUST_PROXY is not set: ` +
        'if this is your reverse proxy, set TRUST_PROXY to the number of proxies, or all clients share one rate limit.',
    );
  }
}
