import type { FastifyRequest } from 'fastify';

/** Who a socket belongs to, and until when. */
export interface SocketIdentity {
  readonly userId: string;
  readonly sessionId: string;
  readonly expiresAt: Date;
}

/** What the sockets have to be told by whoever knows about sign-in. Refuses by throwing a `DomainError`. */
export interface SocketAuthenticator {
  /** The access token of a handshake: the one that was given in `auth`, else the one in its cookie. */
  tokenOf(handshake: FastifyRequest, given: string | undefined): string;
  /** The same answer as a request with this token would get, at this moment. */
  identify(accessToken: string): Promise<SocketIdentity>;
}
