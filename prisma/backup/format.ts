// A backup is one file that `zstd -dc` reads: three frames, of which that program shows the second.
//
//   skippable frame   "RIND BACKUP 1", then what is in the file, as a line of JSON (BackupHeader)
//   zstd frame        for each table `COPY "name" ("column", ...) FROM stdin;`, its rows in PostgreSQL's text
//                     format and a line `\.`; then `-- ` and the sums of all of it, as JSON (BackupSums)
//   skippable frame   "RIND BACKUP END", then the SHA-256 of every byte before this frame
//
// Text rather than PostgreSQL's binary format, which may differ between its versions.

/** Counts up when a reader of the version before could not read the file. */
const FORMAT_VERSION = 1;
const TITLE = 'RIND BACKUP ';
const HEADER_FRAME = 0x184d2a50;
const END_FRAME = 0x184d2a51;
const FRAME_PREFIX_BYTES = 8;
const END_TITLE = 'RIND BACKUP END ';
const DIGEST_CHARACTERS = 64;
/** Far more than any header has: a length above it is damage, and must not be allocated. */
const MAX_HEADER_BYTES = 16 * 1024 * 1024;

/** What is packed, unpacked and written at once: by Node's default of 16 KB much of the time goes into waiting. */
export const CHUNK_BYTES = 256 * 1024;

export const END_BYTES = FRAME_PREFIX_BYTES + END_TITLE.length + DIGEST_CHARACTERS + 1;

export interface BackupColumn {
  name: string;
  /** As PostgreSQL writes it, such as `timestamp(3) with time zone`. */
  type: string;
}

export interface BackupTable {
  name: string;
  columns: BackupColumn[];
}

export interface BackupHeader {
  product: 'rind';
  /** Of the program that wrote the file. */
  version: string;
  createdAt: string;
  /** Version of the server. */
  postgres: string;
  /** What was applied, by name, with the checksums that Prisma recorded: the version of the schema. */
  migrations: { name: string; checksum: string }[];
  /** In the order in which they follow. */
  tables: BackupTable[];
}

export interface TableSum {
  name: string;
  rows: number;
  bytes: number;
  sha256: string;
}

export interface SequenceValue {
  name: string;
  /** As text: it may be beyond what a number holds exactly. */
  lastValue: string;
  isCalled: boolean;
}

/** Known only after all has been read. */
export interface BackupSums {
  tables: TableSum[];
  sequences: SequenceValue[];
}

/** The file is no backup that can be used; the message says why, behind the file's name. */
export class UnusableBackup extends Error {
  override name = 'UnusableBackup';
}

export const damaged = (what: string): UnusableBackup => new UnusableBackup(`is damaged: ${what}`);

export function encodeHeader(header: BackupHeader): Buffer {
  return frame(HEADER_FRAME, `${TITLE}${FORMAT_VERSION}\n${JSON.stringify(header)}\n`);
}

export function encodeEnd(sha256: string): Buffer {
  return frame(END_FRAME, `${END_TITLE}${sha256}\n`);
}

function frame(magic: number, content: string): Buffer {
  const bytes = Buffer.from(content);
  const prefix = Buffer.alloc(FRAME_PREFIX_BYTES);
  prefix.writeUInt32LE(magic, 0);
  prefix.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([prefix, bytes]);
}

/** Where the header ends. Believes nothing but what the first bytes of the file say. */
export function headerBytes(start: Buffer, fileBytes: number): number {
  const title = start.subarray(FRAME_PREFIX_BYTES).toString('latin1');
  if (start.length < FRAME_PREFIX_BYTES || start.readUInt32LE(0) !== HEADER_FRAME)
    throw new UnusableBackup('is no backup of Rind.');
  if (!title.startsWith(TITLE)) throw new UnusableBackup('is no backup of Rind.');
  const version = /^(\d+)\n/.exec(title.slice(TITLE.length))?.[1];
  if (version === undefined) throw damaged('its header cannot be read.');
  if (Number(version) !== FORMAT_VERSION) {
    throw new UnusableBackup(
      `has format ${version}, and this version reads format ${FORMAT_VERSION}: use the version that wrote it.`,
    );
  }
  const length = FRAME_PREFIX_BYTES + start.readUInt32LE(4);
  if (length > MAX_HEADER_BYTES || length + END_BYTES >= fileBytes)
    throw damaged('its header is longer than the file.');
  return length;
}

/** How many bytes of a file `headerBytes` needs. */
export const START_BYTES = FRAME_PREFIX_BYTES + TITLE.length + 16;

export function decodeHeader(bytes: Buffer): BackupHeader {
  const [, json] = bytes.subarray(FRAME_PREFIX_BYTES).toString().split('\n');
  const header = JSON.parse(json ?? '') as BackupHeader;
  if (header.product !== 'rind') throw new UnusableBackup('is no backup of Rind.');
  return header;
}

/** The digest that the file ends with. */
export function decodeEnd(end: Buffer): string {
  const content = end.subarray(FRAME_PREFIX_BYTES).toString('latin1');
  const digest = /^RIND BACKUP END ([0-9a-f]{64})\n$/.exec(content)?.[1];
  const isWhole = digest !== undefined && end.equals(encodeEnd(digest));
  if (!isWhole) throw damaged('it does not end as a backup does. Was it written to its end?');
  return digest;
}

export function encodeSums(sums: BackupSums): Buffer {
  return Buffer.from(`-- ${JSON.stringify(sums)}\n`);
}

export function decodeSums(line: string): BackupSums {
  if (!line.startsWith('-- ')) throw damaged('its sums are missing.');
  return JSON.parse(line.slice(3)) as BackupSums;
}

/** Ends the rows of a table. A row never looks like it: PostgreSQL doubles each backslash. */
export const END_OF_ROWS = '\\.\n';
