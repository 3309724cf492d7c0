/**
 * The size of the pieces that an answer is made in. One size for all: memory that the last piece gave
 * back fits the next one, so that a process that answers many does not grow.
 */
const CHUNK_BYTES = 64 * 1024;

/** Below this many bytes a call costs more than a loop. */
const SHORT = 64;

/** Bytes as they are written, to be taken in pieces of one size. */
export class Chunks {
  private chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  private length = 0;
  private full: Buffer[] = [];

  append(bytes: Buffer, start = 0, end = bytes.length): void {
    for (let from = start; from < end;) {
      if (this.length === CHUNK_BYTES) this.beginChunk();
      const size = Math.min(end - from, CHUNK_BYTES - this.length);
      if (size > SHORT) bytes.copy(this.chunk, this.length, from, from + size);
      else for (let i = 0; i < size; i += 1) this.chunk[this.length + i] = bytes[from + i]!;
      this.length += size;
      from += size;
    }
  }

  appendByte(byte: number): void {
    if (this.length === CHUNK_BYTES) this.beginChunk();
    this.chunk[this.length] = byte;
    this.length += 1;
  }

  appendText(text: string): void {
    this.append(Buffer.from(text));
  }

  /** The pieces that are complete. */
  takeFull(): Buffer[] {
    const { full } = this;
    this.full = [];
    return full;
  }

  /** All that was not taken yet; nothing can be appended behind it. */
  takeAll(): Buffer[] {
    return [...this.takeFull(), this.chunk.subarray(0, this.length)];
  }

  private beginChunk(): void {
    this.full.push(this.chunk);
    this.chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.length = 0;
  }
}
