import { describe, expect, test } from '@jest/globals';
import { addressKey, isPrivateAddress, plainAddress } from './client-address.js';

describe('the key under which an address is counted', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    // As a socket that listens on both families reports it.
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::00ff', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
    ['', 'unknown'],
    ['unknown', 'unknown'],
    ['203.0.113.7:443', 'unknown'],
    ["'; DROP TABLE rate_limits; --", 'unknown'],
  ])('%j is %j', (ip, key) => {
    expect(addressKey(ip)).toBe(key);
  });
});

describe('an address as it is shown', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:', '::ffff:'],
    ['10.1', '10.1'],
    ['<script>', '<script>'],
  ])('%j is %j', (ip, shown) => expect(plainAddress(ip)).toBe(shown));
});

describe('whether an address is private', () => {
  test.each([
    '127.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.1.1',
    '100.64.0.1',
    'fd00::1',
    'fe80::1',
  ])('%s is', (ip) => expect(isPrivateAddress(ip)).toBe(true));

  test.each([
    '203.0.113.7',
    '8.8.8.8',
    '172.32.0.1',
    '2606:4700::1',
    '::ffff:8.8.8.8',
    'x',
    undefined,
  ])('%s is not', (ip) => expect(isPrivateAddress(ip)).toBe(false));
});
