import { Injectable, Logger } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { isPrivateAddress } from './client-address.js';

/** Of requests, the latest ones. */
const OBSERVED = 100;
/** Fewer say nothing: anybody may write the header. */
const MIN_FORWARDED = 10;

/**
 * Notices a reverse proxy that TRUST_PROXY does not cover: then all clients seem to have the
 * proxy's address, and share one rate limit. A proxy says of every request whom it is for; a stranger
 * who writes the same header is one among others, and forgotten as soon as others have come.
 */
@Injectable()
export class ProxyWatch {
  private readonly logger = new Logger(ProxyWatch.name);
  /** Whether each of the latest requests came by a proxy that is not trusted, the oldest first. */
  private readonly latest: boolean[] = [];
  private forwarded = 0;
  private hasWarned = false;

  get isDegraded(): boolean {
    return this.forwarded >= MIN_FORWARDED && this.forwarded * 2 >= this.latest.length;
  }

  observe(request: FastifyRequest): void {
    const isForwarded = isForwardedByStranger(request);
    this.latest.push(isForwarded);
    if (isForwarded) this.forwarded += 1;
    if (this.latest.length > OBSERVED && this.latest.shift()) this.forwarded -= 1;
    if (this.isDegraded) this.warnOnce(request.socket.remoteAddress);
  }

  private warnOnce(address: string | undefined): void {
    if (this.hasWarned) return;
    this.hasWarned = true;
    this.logger.warn(
      `Requests from ${address} carry a forwarded address, but TRUST_PROXY does not cover it: if this is your ` +
        'reverse proxy, set TRUST_PROXY to the number of proxies, or all clients share one rate limit.',
    );
  }
}

/** Proxies of one's own stand in a private network; a public address is that of a client, who may write what he likes. */
function isForwardedByStranger({ headers, ips, socket }: FastifyRequest): boolean {
  const isForwarded = 'x-forwarded-for' in headers || 'forwarded' in headers;
  // Where the peer is trusted, there is at least one address behind its own.
  const isTrusted = ips !== undefined && ips.length > 1;
  return isForwarded && !isTrusted && isPrivateAddress(socket.remoteAddress);
}
