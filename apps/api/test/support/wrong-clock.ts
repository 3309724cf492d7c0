// Node loads this before the API in a process whose wall clock is wrong, as the machine's would be: the
// product has no switch for it.
import { shiftedDate } from './shifted-date.ts';

const offsetMs = Number(process.env['RIND_TEST_CLOCK_OFFSET_MS']);
if (!Number.isInteger(offsetMs)) throw new Error('RIND_TEST_CLOCK_OFFSET_MS is no integer');
globalThis.Date = shiftedDate(Date, () => offsetMs);
