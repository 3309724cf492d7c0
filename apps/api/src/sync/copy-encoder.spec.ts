import { describe, expect, test } from '@jest/globals';
import { CopyEncoder } from './copy-encoder.js';

const fields = [
  { key: '{"id":', isText: true },
  { key: ',"title":', isText: true },
  { key: ',"size":', isText: false },
];

/** As PostgreSQL writes it (section "File Formats" of COPY). */
function copyText(value: string | null): string {
  if (value === null) return '\\N';
  const letters: Record<string, string> = {
    '\b': '\\b',
    '\t': '\\t',
    '\n': '\\n',
    '\v': '\\v',
    '\f': '\\f',
    '\r': '\\r',
    '\\': '\\\\',
  };
  return value.replace(/[\b\t\n\v\f\r\\]/g, (character) => letters[character] ?? '');
}

/** The rows through the encoder, in chunks of so many bytes. */
function encode(rows: ReadonlyArray<ReadonlyArray<string | null>>, chunkSize: number): string {
  const bytes = Buffer.from(rows.map((row) => `${row.map(copyText).join('\t')}\n`).join(''));
  const encoder = new CopyEncoder(fields, '}');
  const parts: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += chunkSize) {
    parts.push(encoder.encode(bytes.subarray(start, start + chunkSize)));
  }
  return Buffer.concat(parts).toString();
}

const allControls = Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code))
  .slice(1)
  .join('');

describe('rows of a COPY as JSON', () => {
  const titles = [
    '',
    null,
    'plain',
    '\\N',
    'N',
    '\\',
    '\\\\',
    '\\t',
    '\\.',
    '"quoted"',
    '\t\n\r\b\f\v',
    allControls,
    '\u007f\u0080\u2028\u2029\ufeff',
    'Ärger 日本 👩‍👩‍👧',
    '{"json": ["\\u0041\\n", null]}',
    'x'.repeat(1000),
    '"'.repeat(1000),
    `${'x'.repeat(200)}\t${'y'.repeat(200)}`,
  ];
  const sizes = ['0', '-0', '1e+20', '1.7976931348623157e+308', '-5e-324', '1790000000000', null];
  const rows = titles.flatMap((title, index) =>
    sizes.map((size, other) => [`id-${index}-${other}`, title, size]),
  );
  // What the builder of small answers writes.
  const json = rows
    .map(
      ([id, title, size]) =>
        `{"id":${JSON.stringify(id)},"title":${JSON.stringify(title)},"size":${size}}`,
    )
    .join(',');

  test.each([1, 2, 3, 7, 64, 1000, 65_536])('in chunks of %d bytes', (chunkSize) => {
    expect(encode(rows, chunkSize)).toBe(json);
  });

  test('none', () => {
    expect(encode([], 10)).toBe('');
    expect(new CopyEncoder(fields, '}').encode(Buffer.alloc(0)).length).toBe(0);
  });

  test('of one column without a key', () => {
    const encoder = new CopyEncoder([{ key: '', isText: true }], '');
    expect(encoder.encode(Buffer.from('a\nb"\n')).toString()).toBe('"a","b\\""');
  });
});
