/** Any 16 bytes in the way that UUIDs are written: unlike `stringify` of the package, which refuses most of them. */
export function uuidOf(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
