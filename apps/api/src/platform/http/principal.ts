/** Who a request comes from, once its access token has been verified. */
export interface Principal {
  readonly userId: string;
  readonly sessionId: string;
  readonly roles: readonly string[];
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null while nobody is signed in. */
    principal: Principal | null;
  }
}
