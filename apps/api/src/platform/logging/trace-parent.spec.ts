import { describe, expect, test } from '@jest/globals';
import { parseTraceParent } from './trace-parent.js';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parentId = '00f067aa0ba902b7';
const valid = `00-${traceId}-${parentId}-01`;

/** Chapter numbers are those of W3C Trace Context, level 1. */
describe('traceparent', () => {
  test.each([
    ['of version 00', valid],
    ['with flags that nobody knows yet', `00-${traceId}-${parentId}-fe`],
    ['of a later version, as far as this one knows it (3.2.4)', `cc-${traceId}-${parentId}-00-x.y`],
    ['of a later version with nothing more', `01-${traceId}-${parentId}-00`],
  ])('names trace and sender, %s', (_how, header) => {
    expect(parseTraceParent(header)).toEqual({ traceId, parentId });
  });

  test.each([
    ['missing', undefined],
    ['empty', ''],
    ['sent twice', [valid, valid]],
    ['sent twice, joined on the way', `${valid}, ${valid}`],
    ['with upper case (3.2.2.3)', valid.toUpperCase()],
    ['of the version that is none (3.2.2.1)', `ff-${traceId}-${parentId}-01`],
    ['of version 00 with something more (3.2.4)', `${valid}-more`],
    ['of a later version with more but no dash', `01-${traceId}-${parentId}-01more`],
    ['without flags', `00-${traceId}-${parentId}`],
    ['with a trace of zeros (3.2.2.3)', `00-${'0'.repeat(32)}-${parentId}-01`],
    ['with a parent of zeros (3.2.2.4)', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['with ids that are too short', `00-${traceId.slice(1)}-${parentId}-01`],
    ['with ids that are too long', `00-${traceId}0-${parentId}-01`],
    ['with what is no number', `00-${traceId.replace('4', 'g')}-${parentId}-01`],
    ['with a second line', `${valid}\n`],
    ['huge', `01-${traceId}-${parentId}-01-${'\n'.repeat(100_000)}`],
  ])('is ignored when it is %s', (_how, header) => {
    expect(parseTraceParent(header)).toBeNull();
  });
});
