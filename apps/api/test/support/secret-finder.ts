/** No password is shorter, so only what is told apart from all other text is looked for. */
const SHORTEST = 10;
/** What is longer is refused by every schema, and is a test of that. */
const LONGEST = 8192;
/** Fewer are what tests fill a text with. */
const FEWEST_LETTERS = 5;
/** What anybody may know; some tests send one in place of a secret. */
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Of a token's bytes these are what makes it one: ids may be known, and stand in front. */
const MAC_BYTES = 16;
const BASE64URL_TOKEN = /^[\w-]{32,}$/;

interface Needle {
  readonly name: string;
  readonly text: string;
}

/** Finds any number of secrets in one pass through a text, in each of the ways to write them down. */
export class SecretFinder {
  private readonly secrets = new Set<string>();
  private readonly needles = new Map<string, Needle[]>();
  /** Says of nearly every place in a text, at no cost, that nothing begins there. */
  private readonly beginnings = new Uint8Array(1 << 16);

  add(name: string, secret: string): void {
    if (this.secrets.has(secret) || !isDistinct(secret)) return;
    this.secrets.add(secret);
    for (const text of spellings(secret)) {
      const beginning = text.slice(0, SHORTEST);
      const others = this.needles.get(beginning) ?? [];
      this.needles.set(beginning, [...others, { name, text }]);
      this.beginnings[fold(beginning, 0)] = 1;
    }
  }

  /** The names of those that stand in the text, each with what comes before its first place. */
  find(text: string): string[] {
    const places = new Map<string, number>();
    for (let at = 0; at <= text.length - SHORTEST; at += 1) {
      if (this.beginnings[fold(text, at)] === 0) continue;
      for (const needle of this.needles.get(text.slice(at, at + SHORTEST)) ?? []) {
        if (places.has(needle.name) || !text.startsWith(needle.text, at)) continue;
        places.set(needle.name, at);
      }
    }
    return Array.from(
      places,
      ([name, at]) => `${name} behind ${JSON.stringify(text.slice(Math.max(0, at - 80), at))}`,
    );
  }
}

const isDistinct = (secret: string) =>
  secret.length >= SHORTEST &&
  secret.length <= LONGEST &&
  new Set(secret).size >= FEWEST_LETTERS &&
  !ID.test(secret);

function fold(text: string, at: number): number {
  const outer = text.charCodeAt(at) * 31 + text.charCodeAt(at + SHORTEST - 1);
  return (outer * 31 + text.charCodeAt(at + 4)) & 0xffff;
}

/**
 * The ways in which a secret could be written down. Where it stands behind other bytes, its base64
 * differs; those are not searched for.
 */
export function spellings(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret);
  const binary = [
    bytes.toString('hex'),
    // Without the end, whose letter depends on what follows.
    bytes.toString('base64').slice(0, -4),
    bytes.toString('base64url').slice(0, -4),
  ];
  if (typeof secret !== 'string') return unique(binary);
  const mac = BASE64URL_TOKEN.test(secret) && Buffer.from(secret, 'base64url').subarray(-MAC_BYTES);
  return unique([
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    ...binary,
    ...(mac ? [mac.toString('hex')] : []),
  ]).filter((spelling) => spelling.length >= SHORTEST);
}

const unique = (texts: string[]) => [...new Set(texts)];
