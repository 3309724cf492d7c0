import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import jwt from 'jsonwebtoken';
import Provider, { type Adapter, type AdapterPayload, type ClientMetadata } from 'oidc-provider';

/** Who sits at the browser. */
export interface Visitor {
  readonly sub: string;
  readonly email?: string;
  readonly email_verified?: boolean | string;
  readonly name?: string | undefined;
}

/** Keeps what the provider keeps; nothing of it outlives a test. */
class MemoryAdapter implements Adapter {
  private readonly entries = new Map<string, AdapterPayload>();

  async upsert(id: string, payload: AdapterPayload): Promise<void> {
    this.entries.set(id, payload);
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    return this.entries.get(id);
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return [...this.entries.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode(): Promise<undefined> {
    return undefined;
  }

  async consume(id: string): Promise<void> {
    Object.assign(this.entries.get(id) ?? {}, { consumed: Math.floor(Date.now() / 1000) });
  }

  async destroy(id: string): Promise<void> {
    this.entries.delete(id);
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    for (const [id, payload] of this.entries) {
      if (payload.grantId === grantId) this.entries.delete(id);
    }
  }
}

/** A certified OpenID provider on a free port, whose users sign in without being asked. */
export class IdentityProvider {
  /** Null: whoever sits there declines. */
  visitor: Visitor | null = null;
  /** Paths that were asked for, such as `/jwks`. */
  readonly requests: string[] = [];
  /** While true, every answer is a 500. */
  isBroken = false;

  private key = newKey();
  private readonly cookieKey = randomUUID();
  private provider: Provider;

  private constructor(
    readonly issuer: string,
    private readonly server: Server,
    private readonly client: ClientMetadata,
    private readonly isSecret?: (secret: string, issuer: string) => boolean,
  ) {
    this.provider = this.createProvider();
    server.on('request', (request, response) => void this.answer(request, response));
  }

  /** `isSecret` decides in place of the client's secret, where that is not always the same. */
  static async start(
    client: ClientMetadata,
    isSecret?: (secret: string, issuer: string) => boolean,
  ): Promise<IdentityProvider> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new IdentityProvider(issuer, server, client, isSecret);
  }

  async stop(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  /** From now on it signs with another key, and no longer publishes the old one. */
  changeKey(): void {
    this.key = newKey();
    this.provider = this.createProvider();
  }

  /**
   * Goes where a browser would go that is sent here, as far as the address that the provider sends
   * it back to. Where that is the target of a form, its fields are in `form`.
   */
  async browse(url: string): Promise<{ callback: URL; form: URLSearchParams | null }> {
    const cookies = new Map<string, string>();
    let next = new URL(url);
    while (next.origin === this.issuer) {
      const cookie = Array.from(cookies, ([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(next, { redirect: 'manual', headers: { cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [name = '', value = ''] = line.split(';', 1)[0]!.split('=');
        if (value === '') cookies.delete(name);
        else cookies.set(name, value);
      }
      const location = response.headers.get('location');
      const page = await response.text();
      if (location === null) return readForm(page);
      next = new URL(location, next);
    }
    return { callback: next, form: null };
  }

  /** An id token as the provider's library gives it to a native app, but for the changes. */
  idToken(claims: object, options: jwt.SignOptions = {}): string {
    return this.sign(
      { iss: this.issuer, iat: now(), exp: now() + 300, ...this.visitor, ...claims },
      options,
    );
  }

  sign(
    claims: object,
    options: jwt.SignOptions = {},
    key: jwt.Secret = this.key.privateKey,
  ): string {
    return jwt.sign(claims, key, { algorithm: 'RS256', keyid: this.key.id, ...options });
  }

  private createProvider(): Provider {
    const { id, privateKey } = this.key;
    const provider = new Provider(this.issuer, {
      clients: [{ token_endpoint_auth_method: 'client_secret_post', ...this.client }],
      jwks: {
        keys: [{ ...privateKey.export({ format: 'jwk' }), kid: id, alg: 'RS256', use: 'sig' }],
      },
      adapter: MemoryAdapter,
      ttl: { AccessToken: 600, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
      cookies: { keys: [this.cookieKey] },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
      conformIdTokenClaims: false,
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
      findAccount: (_context, sub) => ({
        accountId: sub,
        claims: async () => ({ ...this.visitor, sub }),
      }),
      loadExistingGrant: async (context) => {
        const grant = new context.oidc.provider.Grant({
          clientId: context.oidc.client!.clientId,
          accountId: context.oidc.session!.accountId!,
        });
        grant.addOIDCScope('openid email profile name');
        await grant.save();
        return grant;
      },
    });
    const { isSecret, issuer } = this;
    if (isSecret) {
      // As the provider's documentation has it for secrets that are not compared letter by letter.
      Object.assign(provider.Client.prototype, {
        compareClientSecret: async (secret: string) => isSecret(secret, issuer),
      });
    }
    return provider;
  }

  private async answer(request: IncomingMessage, response: ServerResponse) {
    const { provider } = this;
    const path = request.url!.split('?', 1)[0]!;
    this.requests.push(path);
    if (this.isBroken) return void response.writeHead(500).end();
    if (!path.startsWith('/interaction/')) return void provider.callback()(request, response);
    await provider.interactionFinished(
      request,
      response,
      this.visitor ? { login: { accountId: this.visitor.sub } } : { error: 'access_denied' },
    );
  }
}

const newKey = () => ({
  id: randomUUID(),
  privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
});

const now = () => Math.floor(Date.now() / 1000);

/** Of a page that posts itself (OAuth 2.0 Form Post Response Mode). */
function readForm(page: string): { callback: URL; form: URLSearchParams } {
  const action = /<form method="post" action="([^"]+)"/.exec(page)?.[1];
  if (action === undefined) throw new Error(`Neither a redirect nor a form: ${page}`);
  const fields = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g);
  return {
    callback: new URL(action),
    form: new URLSearchParams(
      Array.from(fields, ([, name, value]) => [name!, value!] as [string, string]),
    ),
  };
}
