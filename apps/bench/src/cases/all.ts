import type { Scale } from '../scale.ts';
import type { Case } from './case.ts';
import { pullCases } from './pulls.ts';
import { pushCases } from './pushes.ts';

/** In the order in which they run. */
export function allCases(scale: Scale): Case[] {
  return [...pullCases(scale), ...pushCases(scale)];
}
