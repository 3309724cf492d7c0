import { randomBytes } from 'node:crypto';

/** One row in so many is a project, the others are its tasks. */
export const ROWS_PER_PROJECT = 50;

/** When the records were made, as their columns say. */
export const CREATED_AT = 1_790_000_000_000;

const words =
  'answer book boat bread bring broken buy call chapter check clean coffee collect cook doctor door draft early ' +
  'finish first fix flowers friend garden harbour house invoice kitchen lamp late letter light list meeting mend ' +
  'milk monday morning music neighbour new office old order paint paper park pay phone plan plant print read ' +
  'repair report roof sail school send shop sign small station street table tax ticket train tree walk wash ' +
  'water window winter wood write yard';

/** Texts as people write them: a row repeated a thousand times would compress far too well. */
export const phrases: readonly string[] = makePhrases(2_000);

function makePhrases(count: number): string[] {
  const choices = words.split(' ');
  // A generator with a fixed seed, so that every run has the same texts.
  let state = 20_261_121;
  const next = () => (state = (state * 48_271) % 2_147_483_647);
  return Array.from({ length: count }, () =>
    Array.from({ length: 6 }, () => choices[next() % choices.length]).join(' '),
  );
}

interface ProjectRecord {
  id: string;
  name: string;
  description: string;
  created_at: number;
  updated_at: number;
}

interface TaskRecord {
  id: string;
  title: string;
  description: string;
  is_completed: boolean;
  project_id: string;
  created_at: number;
  updated_at: number;
}

/** New records of one push, with ids that nobody has used. */
export interface Batch {
  readonly size: number;
  readonly projects: readonly ProjectRecord[];
  readonly tasks: readonly TaskRecord[];
}

export function createBatch(size: number, existingProjectId: string): Batch {
  const projects: ProjectRecord[] = [];
  const tasks: TaskRecord[] = [];
  let projectId = existingProjectId;
  for (let index = 1; index <= size; index += 1) {
    const id = randomBytes(8).toString('hex');
    const text = (offset: number) => phrases[(index * 31 + offset) % phrases.length]!;
    const times = { created_at: CREATED_AT, updated_at: CREATED_AT };
    const description = `${text(7)} ${text(11)}`;
    if (index % ROWS_PER_PROJECT === 0) {
      projects.push({ id, name: text(0), description, ...times });
      projectId = id;
    } else {
      const isCompleted = index % 3 === 0;
      tasks.push({
        id,
        title: text(0),
        description,
        is_completed: isCompleted,
        project_id: projectId,
        ...times,
      });
    }
  }
  return { size, projects, tasks };
}
