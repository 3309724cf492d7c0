import { z } from 'zod';

/**
 * One of the values, of which later versions may have more: documented as a string with known
 * values, so that a new one breaks no client. Only for answers; what clients send is a closed enum.
 */
export const openEnum = <const Value extends string>(values: readonly Value[]) =>
  z.string().meta({ 'x-extensible-enum': [...values] }) as unknown as z.ZodType<Value, Value>;
