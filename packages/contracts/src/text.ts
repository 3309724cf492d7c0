import { z } from 'zod';

/** One line of text: trimmed, without control characters (PostgreSQL refuses NUL in text). */
export const line = (maxLength: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(maxLength)
    .regex(/^\P{Cc}*$/u, 'Must not contain control characters');
