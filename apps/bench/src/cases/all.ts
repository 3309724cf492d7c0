import { authCases } from './auth.ts';
import type { Scale } from '../scale.ts';
import type { SuiteName } from '../suite.ts';
import type { Case } from './case.ts';
import { crowdCase } from './crowd.ts';
import { httpCases } from './http.ts';
import { manyClientsCases } from './many-clients.ts';
import { memoryCase } from './memory.ts';
import { neighboursCase } from './neighbours.ts';
import { pullCases } from './pulls.ts';
import { pushCases } from './pushes.ts';
import { realtimeCases } from './realtime.ts';
import { wireSizeCase } from './wire-size.ts';

/** In the order in which they run: what makes tables grow comes behind what reads them. */
function syncCases(scale: Scale): Case[] {
  return [
    ...pullCases(scale),
    wireSizeCase(scale),
    neighboursCase(scale),
    ...manyClientsCases(scale),
    ...pushCases(scale),
    memoryCase(scale),
    crowdCase(scale),
  ];
}

export const suites: Readonly<Record<SuiteName, (scale: Scale) => Case[]>> = {
  sync: syncCases,
  http: httpCases,
  auth: authCases,
  realtime: realtimeCases,
};
