import { Secret, TOTP } from 'otpauth';

/** What every authenticator app knows how to do; many ignore other values in the URL. */
const PARAMETERS = { algorithm: 'SHA1', digits: 6, period: 30 } as const;

/** Steps of 30 s by which the clock of a phone may be off, either way. */
const TOLERATED_STEPS = 1;

/** 160 bits, as RFC 4226 recommends. */
export function newTotpSecret(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new Secret({ size: 20 }).bytes);
}

/** How an authenticator app is told of a secret: as a QR code, or typed. */
export function describeTotp(secret: Uint8Array<ArrayBuffer>, issuer: string, account: string) {
  const key = toKey(secret);
  const totp = new TOTP({ ...PARAMETERS, issuer, label: account, secret: key });
  return { otpauthUrl: totp.toString(), secret: key.base32 };
}

/** The time step that the code belongs to (RFC 6238); null when it is not one of those around now. */
export function findTotpStep(
  secret: Uint8Array<ArrayBuffer>,
  code: string,
  timestamp: number,
): number | null {
  const delta = TOTP.validate({
    ...PARAMETERS,
    secret: toKey(secret),
    token: code,
    timestamp,
    window: TOLERATED_STEPS,
  });
  return delta === null ? null : TOTP.counter({ period: PARAMETERS.period, timestamp }) + delta;
}

function toKey(secret: Uint8Array<ArrayBuffer>): Secret {
  return new Secret({ buffer: secret.buffer });
}
