import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** IPv4 as IPv6 (RFC 4291, 2.5.5.2). */
const MAPPED = /^::ffff:/i;

/** An address as seen by the caller's provider: IPv4 whole, IPv6 by /64, since one customer holds at least that many. */
export function addressKey(ip: string): string {
  if (!ipaddr.isValid(ip)) return 'unknown';
  const address = ipaddr.process(ip);
  if (address.kind() === 'ipv4') return address.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/64`).toString()}/64`;
}

/** An IPv4 address as such, also where it comes by a socket that takes both kinds. */
export function plainAddress(ip: string): string {
  if (!MAPPED.test(ip)) return ip;
  // As sockets write it, for each request.
  const rest = ip.replace(MAPPED, '');
  if (isIPv4(rest)) return rest;
  return ipaddr.isValid(ip) ? ipaddr.process(ip).toString() : ip;
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
