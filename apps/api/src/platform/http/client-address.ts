import ipaddr from 'ipaddr.js';

/** An address as seen by the caller's provider: IPv4 whole, IPv6 by /64, since one customer holds at least that many. */
export function addressKey(ip: string): string {
  if (!ipaddr.isValid(ip)) return 'unknown';
  const address = ipaddr.process(ip);
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/64`).toString()}/64`;
}

/** An IPv4 address as such, also where it comes by a socket that takes both kinds. */
export function plainAddress(ip: string): string {
  return /^::ffff:/i.test(ip) && ipaddr.isValid(ip) ? ipaddr.process(ip).toString() : ip;
}

const privateRanges = new Set([
  'loopback',
  'private',
  'linkLocal',
  'uniqueLocal',
  'carrierGradeNat',
]);

export function isPrivateAddress(ip: string | undefined): boolean {
  return ip !== undefined && ipaddr.isValid(ip) && privateRanges.has(ipaddr.process(ip).range());
}
